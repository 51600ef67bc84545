//! What ffmpeg writes, vstream reads: every format, each frame, in the right colours. The clips are made here by ffmpeg.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vstream::codec::{decode, encode};
use vstream::devices::{Wish, ffmpeg, file};
use vstream::fault::{Fault, line};
use vstream::frame::{Image, Source};
use vstream::picture::Picture;
use vstream::stop::Stop;

/// ffmpeg, or a word that this test did not run; where tests must be complete (CI) that is a failure.
fn ffmpeg() -> Option<PathBuf> {
    let found = ffmpeg::find();
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "ffmpeg is needed");
        eprintln!("skipped: there is no ffmpeg on PATH");
    }
    found
}

fn run(program: &Path, args: &str) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(["-nostdin", "-v", "error", "-y"]).args(args.split_whitespace()).stderr(Stdio::inherit());
    let output = command.output().unwrap();
    assert!(output.status.success(), "ffmpeg {args}");
    output.stdout
}

/// 30 frames of 640x360 at 60 a second, half a second in all, into `name` with `args`.
fn clip(program: &Path, dir: &Path, name: &str, args: &str) -> PathBuf {
    let path = dir.join(name);
    let input = "-f lavfi -i testsrc2=s=640x360:r=60 -frames:v 30";
    run(program, &format!("{input} {args} {}", path.display()));
    path
}

fn open(path: &Path, program: Option<&PathBuf>) -> Box<dyn Source> {
    file::open_with(path, program.cloned(), &Wish::default(), &Stop::default()).unwrap_or_else(|e| panic!("{e:?}"))
}

fn images(source: &mut dyn Source) -> Vec<Image> {
    std::iter::from_fn(|| source.next().unwrap().map(|shot| shot.image)).collect()
}

fn picture(image: &Image) -> Picture {
    match image {
        Image::Jpeg(jpeg) => decode::decode(jpeg).unwrap(),
        Image::Picture(picture) => (**picture).clone(),
    }
}

#[test]
fn every_frame_of_every_format_is_read() {
    let Some(program) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    let none = None;
    for (name, args, with, rate) in [
        ("a.mjpeg", "-c:v mjpeg", none, 25.0),
        ("a.avi", "-c:v mjpeg", none, 60.0),
        ("b.avi", "-c:v mjpeg -huffman default -pix_fmt yuvj444p", none, 60.0),
        ("420.y4m", "-pix_fmt yuv420p", none, 60.0),
        ("422.y4m", "-pix_fmt yuv422p", none, 60.0),
        ("444.y4m", "-pix_fmt yuv444p", none, 60.0),
        ("411.y4m", "-pix_fmt yuv411p", none, 60.0),
        ("grey.y4m", "-pix_fmt gray", none, 60.0),
        ("full.y4m", "-pix_fmt yuvj420p -strict -1", none, 60.0),
        ("a.mp4", "-c:v libx264 -pix_fmt yuv420p", none, 60.0),
        ("fast.mp4", "-c:v libx264 -pix_fmt yuv420p -movflags +faststart", none, 60.0),
        ("fragments.mp4", "-c:v libx264 -pix_fmt yuv420p -g 10 -movflags frag_keyframe+empty_moov", none, 60.0),
        ("base.mov", "-c:v libx264 -profile:v baseline -pix_fmt yuv420p", none, 60.0),
        ("422.mkv", "-c:v libx264 -pix_fmt yuv422p", none, 60.0),
        ("a.mkv", "-c:v libx264 -pix_fmt yuv420p -bf 3 -b_strategy 0", none, 60.0),
        ("by.mkv", "-c:v libx264 -pix_fmt yuv420p", Some(&program), 60.0),
        ("by.mp4", "-c:v libx264 -pix_fmt yuv420p10le", Some(&program), 60.0),
        ("mpeg4.avi", "-c:v mpeg4", Some(&program), 60.0),
        ("a.webm", "-c:v libvpx -deadline realtime -cpu-used 8", Some(&program), 60.0),
    ] {
        let path = clip(&program, dir.path(), name, args);
        let mut source = open(&path, with);
        let about = source.about();
        assert_eq!(about.rate.map(f64::round), Some(rate), "{about:?}");
        if !name.ends_with("mjpeg") && !name.ends_with("webm") {
            assert_eq!(about.length, Some(30), "{about:?}");
        }
        let images = images(&mut *source);
        assert_eq!(images.len(), 30, "{name}");
        let last = picture(&images[29]);
        assert_eq!((last.width(), last.height()), (640, 360), "{name}");
    }
}

#[test]
fn sound_beside_the_video_does_not_matter() {
    let Some(program) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    let sound = "-f lavfi -i sine=duration=0.5";
    for (name, codecs, with) in [
        ("a.avi", "-c:v mjpeg -c:a pcm_s16le", None),
        ("a.mov", "-c:v libx264 -pix_fmt yuv420p -c:a pcm_s16le", None),
        ("a.mkv", "-c:v libx264 -pix_fmt yuv420p -c:a aac", None),
        ("fragments.mp4", "-c:v libx264 -pix_fmt yuv420p -c:a aac -movflags frag_keyframe+empty_moov", None),
        ("b.mkv", "-c:v libx264 -pix_fmt yuv420p -c:a aac", Some(&program)),
    ] {
        let path = dir.path().join(name);
        let video = "-f lavfi -i testsrc2=s=320x180:r=60:d=0.5";
        run(&program, &format!("{sound} {video} {codecs} {}", path.display()));
        assert_eq!(images(&mut *open(&path, with)).len(), 30, "{name}");
    }
}

#[test]
fn jpeg_passes_untouched() {
    let Some(program) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = clip(&program, dir.path(), "a.mjpeg", "-c:v mjpeg -q:v 4");
    let avi = dir.path().join("a.avi");
    run(&program, &format!("-r 60 -i {} -c copy {}", path.display(), avi.display()));
    let bytes: Vec<u8> = images(&mut *open(&path, None))
        .iter()
        .flat_map(|image| match image {
            Image::Jpeg(jpeg) => jpeg.to_vec(),
            Image::Picture(_) => panic!("pixels"),
        })
        .collect();
    assert!(bytes == std::fs::read(&path).unwrap());
    assert_eq!(images(&mut *open(&avi, None)).len(), 30);
    let frames = dir.path().join("frames");
    std::fs::create_dir(&frames).unwrap();
    run(&program, &format!("-i {} -c copy -f image2 {}/%d.jpg", path.display(), frames.display()));
    assert_eq!(images(&mut *open(&frames, None)).len(), 30);
}

/// The frames as ffmpeg converts them to JPEG's colours.
fn reference(program: &Path, path: &Path, width: usize, height: usize, filter: &str) -> Vec<Picture> {
    let args = format!("-i {} -vf {filter} -pix_fmt yuvj420p -f rawvideo -", path.display());
    let raw = run(program, &args);
    let each = vstream::picture::byte_len(width, height);
    raw.chunks(each).map(|data| Picture::from_planes(width, height, data.to_vec()).unwrap()).collect()
}

#[test]
fn colours_are_ffmpegs_own() {
    let Some(program) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    let tags = "-color_primaries bt709 -color_trc bt709 -colorspace bt709";
    let hd = "scale=in_color_matrix=bt709:out_color_matrix=bt601:out_range=full:flags=bicubic+accurate_rnd";
    let sd = "scale=in_color_matrix=bt601:out_color_matrix=bt601:out_range=full:flags=bicubic+accurate_rnd";
    for (name, size, tags, filter) in [
        ("tagged", (1280, 720), tags, hd),
        ("untagged-hd", (1280, 720), "", hd),
        ("untagged", (640, 360), "", sd),
        ("tagged-sd", (640, 360), tags, hd),
    ] {
        // Born as RGB: what lies outside it (as much of testsrc2 does), swscale clips and others keep.
        for input in ["mandelbrot=s=SIZE:r=30:maxiter=300", "testsrc=s=SIZE:r=30"] {
            let (width, height) = size;
            let input = input.replace("SIZE", &format!("{width}x{height}"));
            // Noise gone, as film is: the JPEG must not be what is measured.
            let matrix = filter.split([':', '=']).nth(2).unwrap_or("bt601");
            let blur = format!("-vf gblur=sigma=2,scale=out_color_matrix={matrix},format=yuv420p -frames:v 6");
            for (container, with) in [("mkv", None), ("mp4", None), ("mp4", Some(&program)), ("y4m", None)] {
                if container == "y4m" && name == "tagged-sd" {
                    continue; // y4m has no word for it
                }
                let path = dir.path().join(format!("{name}.{container}"));
                let codec = if container == "y4m" { "" } else { "-c:v libx264 -preset ultrafast -qp 16" };
                run(&program, &format!("-f lavfi -i {input} {blur} {codec} {tags} {}", path.display()));
                let wanted = reference(&program, &path, width, height, filter);
                let got = images(&mut *open(&path, with));
                assert_eq!(got.len(), wanted.len());
                for (image, wanted) in got.iter().zip(&wanted) {
                    let got = picture(image);
                    let exact = wanted.psnr(&got);
                    let coded = wanted.psnr(&decode::decode(&encode::encode(&got, 80).unwrap()).unwrap());
                    let told = format!("{name} {container} {input} {}: {exact:.1?} {coded:.1?}", with.is_some());
                    assert!(exact.iter().all(|&db| db > 45.0) && coded.iter().all(|&db| db > 34.0), "{told}");
                }
            }
        }
    }
}

#[test]
fn stretched_pixels_become_square() {
    let Some(program) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    for with in [None, Some(&program)] {
        let path = clip(&program, dir.path(), "wide.mp4", "-vf setsar=4/3 -c:v libx264 -pix_fmt yuv420p");
        let images = images(&mut *open(&path, with));
        let picture = picture(&images[0]);
        assert!(picture.width().abs_diff(853) <= 1 && picture.height() == 360, "{}", picture.width());
    }
}

#[test]
fn frames_come_at_the_files_own_times() {
    let Some(program) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    // Every frame, but after the tenth the clock runs three times as slow.
    let path = dir.path().join("vfr.mkv");
    let args = "-f lavfi -i testsrc2=s=160x96:r=20 -frames:v 20 -vf setpts='if(lt(N,10),N,10+(N-10)*3)/20/TB'";
    run(&program, &format!("{args} -fps_mode passthrough -c:v libx264 -pix_fmt yuv420p {}", path.display()));
    for with in [None, Some(&program)] {
        let mut source = open(&path, with);
        let times: Vec<_> = std::iter::from_fn(|| source.next().unwrap().map(|shot| shot.captured)).collect();
        assert_eq!(times.len(), 20);
        let (fast, slow) = (times[9].since(times[1]).as_millis(), times[19].since(times[11]).as_millis());
        assert!((250..600).contains(&fast) && (950..1600).contains(&slow), "{fast} {slow}");
    }
}

#[test]
fn a_loop_begins_again() {
    let Some(program) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    let wish = Wish { looped: true, fps: Some(30.0), ..Wish::default() };
    let h264 = "-c:v libx264 -pix_fmt yuv420p";
    for (name, codec, with) in
        [("a.mp4", h264, None), ("a.mp4", h264, Some(program.clone())), ("a.avi", "-c:v mjpeg", None)]
    {
        let path = clip(&program, dir.path(), name, &format!("{codec} -frames:v 12"));
        let mut source = file::open_with(&path, with, &wish, &Stop::default()).unwrap();
        assert_eq!((source.about().length, source.about().rate), (None, Some(30.0)));
        let (mut first, mut count) = (None, 0);
        while count < 20 {
            let shot = source.next().unwrap().unwrap();
            first.get_or_insert(shot.captured);
            count += 1;
        }
        let span = vstream::clock::now().since(first.unwrap()).as_millis();
        assert!((550..9000).contains(&span), "{name}: {span} ms for 19 steps of 33 ms");
    }
}

#[test]
fn what_ffmpeg_cannot_open_is_said_in_one_line() {
    let Some(program) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    let error = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let opened = file::open_with(&path, Some(program.clone()), &Wish::default(), &Stop::default());
        let error = opened.err().unwrap_or_else(|| panic!("{name} was opened"));
        assert_eq!(error.downcast_ref::<Fault>().map(|f| f.kind as u8), Some(3));
        line(&error).replace(&dir.path().display().to_string(), "DIR")
    };
    let text = error("a.mp4", b"It was a dark and stormy night; the rain fell in torrents.\n");
    assert_eq!(text, "could not open DIR/a.mp4: invalid data found when processing input");
    let sound = dir.path().join("sound.wav");
    run(&program, &format!("-f lavfi -i sine=duration=0.1 {}", sound.display()));
    let text = error("b.mkv", &std::fs::read(&sound).unwrap());
    assert_eq!(text, "could not open DIR/b.mkv: it holds no video");
}

#[test]
fn damaged_films_end_without_a_panic() {
    let Some(program) = ffmpeg() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut state = 88_172_645_463_325_252u64;
    let mut random = move || {
        state ^= state << 13; // xorshift64
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for name in ["a.mp4", "a.mkv"] {
        let args = "-vf scale=160:96 -c:v libx264 -pix_fmt yuv420p -frames:v 10 -movflags +faststart";
        let data = std::fs::read(clip(&program, dir.path(), name, args)).unwrap();
        for round in 0..40 {
            let mut bad = data.clone();
            match round % 4 {
                0 => bad.truncate(random() % data.len()),
                flips => (0..flips * 4).for_each(|_| bad[random() % data.len()] ^= 1 << (random() % 8)),
            }
            assert!(vstream::devices::replay::mp4(&bad) <= 64);
        }
    }
}
