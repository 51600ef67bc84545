//! Viewers in videos of a folder, each behind a network of its own that becomes narrow and wide again: which rungs `auto`
//! gives them, and how long the picture stands meanwhile.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_channel::bounded;
use smol::Task;
use vstream::codec;
use vstream::endpoint::Endpoint;
use vstream::message::Visit;
use vstream::roles::library::{Entry, Library};
use vstream::stop::Stop;
use vstream::word::{Talk, Word};

use crate::processes::{role, viewer};

const VIEWERS: usize = 20;
/// Mbit/s of each viewer from these seconds on, and when the last of them ends.
const RATES: [(u64, f64); 3] = [(0, 20.0), (30, 2.0), (90, 20.0)];
const END: u64 = 150;
/// Of each way, so that there is a round trip.
const DELAY: &str = "10ms";
/// A video begins again so many seconds before its end.
const AGAIN: f64 = 1.0;
/// What going up needs to spare, and the share of a network that is taken (src/adapt): with these or without, a rung that fits
/// is a right one.
const SPARE: f64 = 1.3 / 0.95;

/// A picture that comes so long after the one before is held up (these videos have 24 a second). Until there is one, a network
/// that has become narrow still takes what the rung needs: a film that stands nearly still needs little.
const HELD_UP: Duration = Duration::from_millis(100);

struct Viewer {
    video: Entry,
    /// When each frame was whole, and its lines.
    frames: Arc<Mutex<Vec<(Instant, u32)>>>,
    _tasks: [Task<()>; 2],
}

pub fn run(folder: &str, heights: &[u32]) {
    let library = Library::open(Path::new(folder), heights, &Stop::default()).expect("a folder");
    library.prepare().expect("films");
    let videos = library.list();
    let hub = role(&["hub", "--listen", "tcp://127.0.0.1:0", "--library", folder]);
    let script = std::env::temp_dir().join(format!("vstream-steps-{:016x}", fastrand::u64(..)));
    let steps = RATES.map(|(at, rate)| format!("at {at}s down bandwidth {rate}mbit\n")).concat();
    std::fs::write(&script, format!("at 0s delay {DELAY}\n{steps}")).expect("a file");
    let on = ["shape", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--to", &hub.address];
    let shape = role(&[&on[..], &["--script", script.to_str().expect("a path in UTF-8")]].concat());
    let begun = Instant::now();
    let viewers: Vec<Viewer> = (0..VIEWERS).map(|nth| view(&shape.address, nth, &videos[nth % videos.len()])).collect();
    let pause = pauses(begun + Duration::from_secs(END));
    _ = std::fs::remove_file(script);
    let different = videos.len().min(VIEWERS);
    println!("\n{VIEWERS} viewers in {different} videos, the bench itself paused for {pause:.0?} at most:\n");
    println!(
        "| Mbit/s of each | right rung after, p50 and worst | right from then on | switches back, most | longest pause, p50 and worst | frames a second |"
    );
    println!("|---|---|---|---|---|---|");
    let ends = RATES[1..].iter().map(|(at, _)| *at).chain([END]);
    let mut before = RATES[0].1;
    for ((from, rate), to) in RATES.iter().zip(ends) {
        let fell = *rate < std::mem::replace(&mut before, *rate);
        let span = (begun + Duration::from_secs(*from), begun + Duration::from_secs(to));
        tell(&viewers, (*rate, fell), span);
    }
}

/// Sleeps until then: how long the machine let it sleep too long.
fn pauses(until: Instant) -> Duration {
    const STEP: Duration = Duration::from_millis(10);
    let (mut last, mut worst) = (Instant::now(), Duration::ZERO);
    while last < until {
        std::thread::sleep(STEP);
        worst = worst.max(last.elapsed().saturating_sub(STEP));
        last = Instant::now();
    }
    worst
}

fn view(address: &str, nth: usize, video: &Entry) -> Viewer {
    let to = Endpoint::parse(&format!("tcp://{address}/{}", video.name)).expect("it is one");
    let visit = Visit { user: Some(format!("viewer{nth}")), rung: Some("auto".to_string()), ..Visit::default() };
    let link = viewer::connect(&to, &visit);
    let ((says, told), (heard, words)) = (bounded(8), bounded(64));
    let frames = Arc::<Mutex<Vec<(Instant, u32)>>>::default();
    let writes = frames.clone();
    let watching = viewer::view(link, Some(Talk { heard, told }), move |frame| {
        let (_, height) = codec::size(&frame.coded.head, &frame.coded.bytes).expect("a picture");
        writes.lock().unwrap().push((Instant::now(), height as u32));
    });
    let verbose = std::env::var_os("VERBOSE").is_some();
    let begun = Instant::now();
    let listening = vstream::tasks::spawn(async move {
        while let Ok(word) = words.recv().await {
            match word {
                Word::At(at) if at.position > at.duration - AGAIN => _ = says.send(Word::Seek { to: 0.0 }).await,
                Word::Rung { rung, why, .. } if verbose => {
                    eprintln!("  {:.1} s: viewer {nth}: {rung}: {why}", begun.elapsed().as_secs_f64())
                }
                _ => {}
            }
        }
    });
    Viewer { video: video.clone(), frames, _tasks: [watching, listening] }
}

/// The heights that are right at a rate.
fn right(video: &Entry, rate: f64) -> RangeInclusive<u32> {
    let fitting = |share: f64| {
        let fits = video.rungs.iter().rfind(|offer| offer.bitrate * share <= rate * 1e6);
        fits.unwrap_or(&video.rungs[0]).height
    };
    fitting(SPARE)..=fitting(1.0)
}

fn tell(viewers: &[Viewer], (rate, fell): (f64, bool), (from, to): (Instant, Instant)) {
    let (mut after, mut share, mut pauses, mut fps, mut back) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), 0);
    for viewer in viewers {
        let frames = viewer.frames.lock().unwrap();
        let begun = frames.partition_point(|(at, _)| *at < from);
        // The pause that the beginning of this time fell into counts.
        let within: Vec<_> = frames[begun.saturating_sub(1)..].iter().take_while(|(at, _)| *at < to).collect();
        let pause = within.windows(2).map(|two| two[1].0 - two[0].0).max().unwrap_or(to - from);
        pauses.push(pause.as_secs_f64() * 1000.0);
        fps.push(within.len() as f64 / (to - from).as_secs_f64());
        let right = right(&viewer.video, rate);
        let held_up = within.windows(2).find(|two| fell && two[1].0 - two[0].0 >= HELD_UP);
        let shows = held_up.map_or(from, |two| two[0].0.max(from));
        let first = within.iter().find(|(_, height)| right.contains(height)).map_or(to, |(at, _)| *at);
        after.push(first.saturating_duration_since(shows.min(first)).as_secs_f64());
        let then = within.iter().filter(|(at, _)| *at >= first);
        let (good, all) =
            then.fold((0, 0), |(good, all), (_, height)| (good + usize::from(right.contains(height)), all + 1));
        share.push(good as f64 / f64::from(all.max(1)));
        let heights: Vec<u32> = within.iter().map(|(_, height)| *height).collect();
        back = back.max(backs(&heights));
    }
    [&mut after, &mut pauses, &mut fps].into_iter().for_each(|values| values.sort_by(f64::total_cmp));
    let middle = |values: &[f64]| values[values.len() / 2];
    let worst = |values: &[f64]| values[values.len() - 1];
    println!(
        "| {rate} | {:.1}, {:.1} s | {:.0} % | {back} | {:.0}, {:.0} ms | {:.1} |",
        middle(&after),
        worst(&after),
        100.0 * share.iter().sum::<f64>() / share.len() as f64,
        middle(&pauses),
        worst(&pauses),
        middle(&fps),
    );
}

/// How often a viewer went the other way than before.
fn backs(heights: &[u32]) -> usize {
    let ways: Vec<bool> = heights.windows(2).filter(|two| two[0] != two[1]).map(|two| two[1] > two[0]).collect();
    ways.windows(2).filter(|two| two[0] != two[1]).count()
}
