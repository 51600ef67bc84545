//! Drawing by SDL: the picture as an I420 texture, and labels over it.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use sdl2::pixels::{Color, PixelFormatEnum};
use sdl2::rect::Rect;
use sdl2::render::{BlendMode, TextureAccess, TextureCreator, WindowCanvas};
use sdl2::video::WindowContext;

use crate::codec::scale::scale;
use crate::codec::tiles::{Grid, MCU};
use crate::devices::text::{MARGIN, Plane, boxed_size};
use crate::devices::window::feed::Shown;
use crate::devices::window::layout::{fit, letterbox, text_scale};
use crate::devices::window::texture::Texture;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::picture::{Picture, SIDE_MIN};
use crate::segments::Form;

/// Where a label stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    TopLeft,
    Centre,
    Bottom,
}

/// How dark the box behind text is: the picture still shows through.
const BOX_ALPHA: u8 = 176;

/// Three times out of 800 the server of a machine with six times the work it can do was later than the end of the window.
const AT_REST: Duration = Duration::from_millis(50);

pub struct Painter {
    pub canvas: WindowCanvas,
    textures: Rc<TextureCreator<WindowContext>>,
    picture: Option<Standing>,
    labels: Vec<Label>,
}

/// A picture in the graphics memory. The texture's sides are even, as SDL's I420 wants them.
struct Standing {
    texture: Texture,
    /// Size of the picture that it was made for, and of the one that is in it.
    size: (usize, usize),
    loaded: (usize, usize),
    /// The frame that it shows.
    frame: Option<Frame>,
}

impl Standing {
    /// Uploads rows of a picture of the texture's size; they begin at an even one. SDL takes just as many bytes as the
    /// rows have.
    fn update(&mut self, picture: &Picture, rows: Range<usize>) -> Result<()> {
        let pitch = picture.width();
        let part = Rect::new(0, rows.start as i32, pitch as u32, rows.len() as u32);
        let [y, cb, cr] = picture.planes();
        let luma = rows.start * pitch..rows.end * pitch;
        let chroma = rows.start / 2 * (pitch / 2)..rows.end / 2 * (pitch / 2);
        let (y, cb, cr) = (&y[luma], &cb[chroma.clone()], &cr[chroma]);
        self.texture.update_yuv(part, y, pitch, cb, pitch / 2, cr, pitch / 2).map_err(|e| broken(e.to_string()))
    }
}

/// The rows of pixels in which the frame's tiles differ from those of the one before.
fn changed_rows(frame: &Frame, had: Option<&Frame>, (width, height): (usize, usize)) -> Vec<Range<usize>> {
    let lacking = frame.lacking(had);
    if frame.coded.head.form == Form::Whole {
        return lacking.iter().map(|_| 0..height).collect();
    }
    let mut rows: Vec<Range<usize>> = Vec::new();
    let grid = Grid::new(width, height);
    for (_, y, _) in lacking.into_iter().flat_map(|tile| grid.runs(grid.mcus_of(tile))) {
        let end = (y + MCU).min(height);
        match rows.last_mut().filter(|last| y <= last.end) {
            Some(last) => last.end = last.end.max(end),
            None => rows.push(y..end),
        }
    }
    rows
}

struct Label {
    place: Place,
    lines: Vec<String>,
    window: (u32, u32),
    texture: Texture,
    size: (usize, usize),
}

/// From here on SDL takes Y'CbCr for full-range BT.601, as in JPEG; its own guess is the limited range of video.
#[allow(unsafe_code)]
pub fn use_jpeg_colours() {
    // SAFETY: the call sets one global integer of SDL's and takes no pointer; the sdl2 crate has no wrapper for it.
    unsafe { sdl2::sys::SDL_SetYUVConversionMode(sdl2::sys::SDL_YUV_CONVERSION_MODE::SDL_YUV_CONVERSION_JPEG) }
}

impl Painter {
    pub fn new(canvas: WindowCanvas) -> Painter {
        let textures = Rc::new(canvas.texture_creator());
        Painter { canvas, textures, picture: None, labels: Vec::new() }
    }

    /// Takes a picture to be painted from now on. Only rows that changed go to the graphics card.
    pub fn load(&mut self, shown: &Shown) -> Result<()> {
        let picture = &*shown.picture;
        let size = (picture.width(), picture.height());
        if self.picture.as_ref().is_none_or(|standing| standing.size != size) {
            self.picture = None; // frees its memory before more is taken
            self.picture = Some(self.make_room(size)?);
        }
        let Some(standing) = &mut self.picture else { return Ok(()) };
        let had = standing.frame.replace(shown.frame.clone());
        let scaled = (standing.loaded != size).then(|| scale(picture, standing.loaded.0, standing.loaded.1));
        let scaled = scaled.transpose()?;
        let as_it_is = scaled.is_none() && picture.width() % 2 + picture.height() % 2 == 0;
        if as_it_is {
            return changed_rows(&shown.frame, had.as_ref(), size)
                .into_iter()
                .try_for_each(|rows| standing.update(picture, rows));
        }
        let picture = even(scaled.as_ref().unwrap_or(picture));
        standing.update(&picture, 0..picture.height())
    }

    /// A texture for pictures of this size, or of the largest fraction of it that the graphics card takes.
    fn make_room(&self, size: (usize, usize)) -> Result<Standing> {
        let mut loaded = size;
        loop {
            let (w, h) = (loaded.0.next_multiple_of(2) as u32, loaded.1.next_multiple_of(2) as u32);
            match Texture::new(&self.textures, PixelFormatEnum::IYUV, TextureAccess::Streaming, (w, h)) {
                Ok(texture) => return Ok(Standing { texture, size, loaded, frame: None }),
                Err(_) if loaded.0.min(loaded.1) >= 2 * SIDE_MIN => loaded = (loaded.0 / 2, loaded.1 / 2),
                Err(e) => return Err(broken(e.to_string())),
            }
        }
    }

    /// The graphics card lost its memory.
    pub fn forget(&mut self) {
        self.picture = None;
        self.labels.clear();
    }

    /// Draws everything anew.
    pub fn paint(&mut self, labels: &[(Place, Vec<String>)]) -> Result<()> {
        let window = self.canvas.output_size().map_err(broken)?;
        self.canvas.set_draw_color(Color::BLACK);
        self.canvas.clear();
        self.draw_picture(Rect::new(0, 0, window.0, window.1))?;
        self.prepare(labels, window)?;
        for label in &self.labels {
            let (w, h) = (label.size.0 as i32, label.size.1 as i32);
            let (middle, air) = ((window.0 as i32 - w) / 2, (MARGIN * text_scale(window)) as i32);
            let (x, y) = match label.place {
                Place::TopLeft => (air, air),
                Place::Centre => (middle, (window.1 as i32 - h) / 2),
                Place::Bottom => (middle, window.1 as i32 - h - air),
            };
            self.canvas.copy(&label.texture, None, Rect::new(x, y, w as u32, h as u32)).map_err(broken)?;
        }
        self.canvas.present();
        Ok(())
    }

    /// Draws the picture, if there is one, as large as an area allows.
    pub fn draw_picture(&mut self, area: Rect) -> Result<()> {
        let Some(Standing { texture, size, loaded, .. }) = &self.picture else { return Ok(()) };
        let (x, y, w, h) = letterbox(*size, area.size());
        let from = Rect::new(0, 0, loaded.0 as u32, loaded.1 as u32);
        self.canvas.copy(texture, from, Rect::new(area.x() + x, area.y() + y, w, h)).map_err(broken)
    }

    /// Keeps the labels that are the same, and makes the others.
    fn prepare(&mut self, wanted: &[(Place, Vec<String>)], window: (u32, u32)) -> Result<()> {
        let mut old = std::mem::take(&mut self.labels);
        for (place, lines) in wanted {
            let same = |l: &Label| l.place == *place && l.lines == *lines && l.window == window;
            let label = match old.iter().position(same) {
                Some(at) => old.swap_remove(at),
                None => self.write(*place, lines, window)?,
            };
            self.labels.push(label);
        }
        Ok(())
    }

    fn write(&self, place: Place, lines: &[String], window: (u32, u32)) -> Result<Label> {
        let scale = text_scale(window);
        let mut fitted = fit(lines, window, scale);
        if place != Place::TopLeft {
            centre(&mut fitted);
        }
        let size = boxed_size(&fitted, scale);
        let mut letters = vec![0; size.0 * size.1];
        let margin = (MARGIN * scale) as isize;
        Plane::new(&mut letters, size.0).lines(margin, margin, scale, &fitted, 255);
        let pixels: Vec<u8> = letters.iter().flat_map(|&v| [v, v, v, v.max(BOX_ALPHA)]).collect();
        let area = (size.0 as u32, size.1 as u32);
        let texture = Texture::new(&self.textures, PixelFormatEnum::RGBA32, TextureAccess::Static, area);
        let mut texture = texture.map_err(|e| broken(e.to_string()))?;
        texture.update(None, &pixels, size.0 * 4).map_err(|e| broken(e.to_string()))?;
        texture.set_blend_mode(BlendMode::Blend);
        Ok(Label { place, lines: lines.to_vec(), window, texture, size })
    }
}

/// SDL wakes itself by events that go through the X server, on a connection of its own. If the window is gone when a busy
/// server comes to one, as that of the key which closes it, Xlib ends the program: the window is hidden at once, and goes
/// when the server has had time for that.
impl Drop for Painter {
    fn drop(&mut self) {
        self.canvas.window_mut().hide();
        std::thread::sleep(AT_REST);
    }
}

/// Pads lines on the left so that their middles are in line, to half a letter.
fn centre(lines: &mut [String]) {
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    for line in lines {
        line.insert_str(0, &" ".repeat((longest - line.chars().count()) / 2));
    }
}

/// The picture with its last column and row doubled where its sides are odd.
fn even(picture: &Picture) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let mut out = Picture::new(width.next_multiple_of(2), height.next_multiple_of(2));
    let to = out.width();
    let [luma, cb, cr] = out.planes_mut();
    let [from_luma, from_cb, from_cr] = picture.planes();
    for (y, row) in luma.chunks_mut(to).enumerate() {
        let from = &from_luma[y.min(height - 1) * width..][..width];
        row[..width].copy_from_slice(from);
        row[width..].fill(from[width - 1]);
    }
    cb.copy_from_slice(from_cb);
    cr.copy_from_slice(from_cr);
    out
}

fn broken(error: String) -> anyhow::Error {
    anyhow!(Fault::device(format!("could not draw in the window: {}", crate::fault::plain(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::noise;
    use crate::segments::{Head, splice};

    #[test]
    fn odd_pictures_are_padded_by_their_edges() {
        let picture = noise(17, 19, 3);
        let padded = even(&picture);
        assert_eq!((padded.width(), padded.height()), (18, 20));
        assert_eq!(padded.planes()[1], picture.planes()[1]);
        let at = |p: &Picture, x: usize, y: usize| p.planes()[0][y * p.width() + x];
        assert!((0..20).all(|y| (0..18).all(|x| at(&padded, x, y) == at(&picture, x.min(16), y.min(18)))));
    }

    #[test]
    fn only_rows_that_changed_are_uploaded() {
        let coded = |v: [u64; 4]| {
            let head = Head { form: Form::Tiles, since: 0, header: bytes::Bytes::new(), count: 4 };
            splice(None, &head.into(), &(0..4).map(|i| (i, v[i], [0])).collect::<Vec<_>>()).unwrap()
        };
        let frame =
            |seq, v| Frame { epoch: 1, seq, captured: Default::default(), error: Default::default(), coded: coded(v) };
        // 128 by 60 pixels: a tile is a row of MCUs.
        let first = frame(0, [0; 4]);
        let rows = |frame: &Frame, had: Option<&Frame>| -> Vec<(usize, usize)> {
            changed_rows(frame, had, (128, 60)).into_iter().map(|rows| (rows.start, rows.end)).collect()
        };
        assert_eq!(rows(&first, None), [(0, 60)]);
        assert_eq!(rows(&frame(1, [0, 1, 1, 0]), Some(&first)), [(16, 48)]);
        assert_eq!(rows(&frame(2, [2, 0, 0, 2]), Some(&first)), [(0, 16), (48, 60)]);
        assert_eq!(rows(&frame(3, [0; 4]), Some(&first)), []);
    }

    #[test]
    fn short_lines_are_centred() {
        let mut lines = ["FROZEN".to_string(), "no picture for 3 s".to_string()];
        centre(&mut lines);
        assert_eq!(lines, ["      FROZEN", "no picture for 3 s"]);
    }
}
