//! The player's window, by SDL2. SDL lives on the main thread; pictures come from others through a `Feed`.
//!
//! The thread sleeps in SDL until a key, the desktop or the feed's bell wakes it, and draws only what changed. The
//! screen's refresh is not waited for: the newest picture is on its way at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sdl2::event::{Event, WindowEvent};
use sdl2::video::{FullscreenType, WindowPos};
use sdl2::{EventPump, Sdl, VideoSubsystem};

use crate::clock::{Time, now};
use crate::devices::window::feed::Shared;
use crate::devices::window::layout::{Action, action, start_size};
use crate::devices::window::paint::{Painter, use_jpeg_colours};
use crate::devices::window::state::State;
use crate::fault::{Fault, plain};
use crate::stop::Stop;

pub mod controls;
mod feed;
mod layout;
mod paint;
mod state;
mod texture;

pub use feed::{Feed, Screen, Shown, feed};

/// Why the window closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By the user, which says `Stop` to all.
    Quit,
    /// Because `Stop` was said.
    Stopped,
}

/// Size before the first picture tells: what most cameras and the test card give.
const SIZE: (usize, usize) = (1280, 720);
/// The longest sleep: only a safeguard, as every change rings the bell.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Shows what comes through the feed until the user closes the window or `stop` is said. Blocks; SDL wants to be
/// called by the main thread. `stream` is the name in the title.
pub fn run(stream: &str, screen: Screen, stop: &Stop) -> Result<End> {
    let (sdl, video) = open_sdl()?;
    video.text_input().stop(); // no input method may take the keys
    let _ringing = Ringing::new(&sdl, screen.shared.clone(), stop)?;
    let mut events = sdl.event_pump().map_err(no_window)?;
    let canvas = open_canvas(&video, &format!("{stream} - vstream"), SIZE)?;
    let mut window = Window {
        painter: Painter::new(canvas),
        video,
        state: State::new(stream, screen),
        sized: false,
        hidden: false,
        dirty: true,
    };
    window.live(&sdl, &mut events, stop)
}

fn open_sdl() -> Result<(Sdl, VideoSubsystem)> {
    // Ctrl-C is the program's to handle; a window is no reason to switch off the desktop's effects; smooth scaling.
    sdl2::hint::set("SDL_NO_SIGNAL_HANDLERS", "1");
    sdl2::hint::set("SDL_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR", "0");
    sdl2::hint::set("SDL_RENDER_SCALE_QUALITY", "linear");
    sdl2::hint::set("SDL_APP_NAME", "vstream");
    use_jpeg_colours();
    let sdl = sdl2::init().map_err(no_window)?;
    let video = sdl.video().map_err(no_window)?;
    // Without a display SDL may draw into memory, for nobody to see; only who asks for that gets it.
    if video.current_video_driver() == "offscreen" && sdl2::hint::get("SDL_VIDEODRIVER").is_none() {
        return Err(no_window("no display was found".into()));
    }
    Ok((sdl, video))
}

fn open_canvas(video: &VideoSubsystem, title: &str, size: (usize, usize)) -> Result<sdl2::render::WindowCanvas> {
    let screen = video.display_usable_bounds(0).map_or((0, 0), |area| area.size());
    let (width, height) = start_size(size, screen);
    // Hidden until it has its renderer, for which SDL may make another window in place of this one.
    let mut window = video.window(&title.replace('\0', ""), width, height);
    let window = window.hidden().position_centered().resizable().allow_highdpi().build();
    let window = window.map_err(|e| no_window(e.to_string()))?;
    // Without flags SDL takes the best renderer that works: accelerated where there is one, else software.
    let mut canvas = window.into_canvas().build().map_err(|e| no_window(e.to_string()))?;
    canvas.window_mut().show();
    Ok(canvas)
}

fn no_window(error: String) -> anyhow::Error {
    Fault::device(format!("could not open a window: {}", plain(&error)))
        .hint("no display? go without a window (recv --save or --output, player --headless), or run under xvfb-run")
        .into()
}

/// The feed's bell is connected to SDL's queue while this lives, and `Stop` rings it too.
struct Ringing {
    shared: Arc<Shared>,
    over: Stop,
}

impl Ringing {
    fn new(sdl: &Sdl, shared: Arc<Shared>, stop: &Stop) -> Result<Ringing> {
        let events = sdl.event().map_err(no_window)?;
        let _ = events.register_custom_event::<feed::Rung>(); // fails only where an earlier window has registered it
        shared.bell.connect(Some(events.event_sender()));
        let (stop, over) = (stop.clone(), Stop::default());
        let ringing = Ringing { shared: shared.clone(), over: over.clone() };
        std::thread::Builder::new().name("window stop".into()).spawn(move || {
            smol::future::block_on(smol::future::or(stop.heard(), over.heard()));
            shared.bell.ring();
        })?;
        Ok(ringing)
    }
}

impl Drop for Ringing {
    fn drop(&mut self) {
        self.shared.bell.connect(None);
        self.over.say();
    }
}

struct Window {
    painter: Painter,
    video: VideoSubsystem,
    state: State,
    /// Whether the first picture, or the user before it, has given the window its size.
    sized: bool,
    /// Minimised: nobody sees what is drawn.
    hidden: bool,
    dirty: bool,
}

impl Window {
    fn live(&mut self, sdl: &Sdl, events: &mut EventPump, stop: &Stop) -> Result<End> {
        loop {
            self.state.heard();
            if stop.said() {
                return Ok(End::Stopped);
            }
            self.update(now())?;
            let next = self.state.wake(now()).min(SLEEP_MAX);
            let first = events.wait_event_timeout(next.as_micros().div_ceil(1000) as u32);
            let more: Vec<Event> = first.into_iter().chain(events.poll_iter()).collect();
            for event in more {
                if self.take(event, sdl) == Some(Action::Quit) {
                    stop.say();
                    return Ok(End::Quit);
                }
            }
        }
    }

    /// Takes what came and draws what changed.
    fn update(&mut self, at: Time) -> Result<()> {
        let fresh = self.state.take(at);
        self.dirty |= fresh | self.state.refresh(at);
        if let Some(title) = self.state.new_title(at) {
            let _ = self.painter.canvas.window_mut().set_title(&title); // fails only on NUL, which no name holds
        }
        if self.hidden || !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        let unseen = self.state.unseen();
        if let Some(shown) = &unseen {
            self.resize_once((shown.picture.width(), shown.picture.height()));
            self.painter.load(shown)?;
        }
        self.painter.paint(&self.state.labels())?;
        if let Some(shown) = unseen {
            self.state.shared().seen(now().since(shown.frame.captured));
        }
        Ok(())
    }

    /// The first picture gives the window its size, unless the user was quicker.
    fn resize_once(&mut self, picture: (usize, usize)) {
        if std::mem::replace(&mut self.sized, true) {
            return;
        }
        let window = self.painter.canvas.window_mut();
        if window.is_maximized() || window.fullscreen_state() != FullscreenType::Off {
            return;
        }
        let display = window.display_index().unwrap_or(0);
        let screen = self.video.display_usable_bounds(display).map_or((0, 0), |area| area.size());
        let size = start_size(picture, screen);
        if window.size() != size && window.set_size(size.0, size.1).is_ok() {
            window.set_position(WindowPos::Centered, WindowPos::Centered);
        }
    }

    fn take(&mut self, event: Event, sdl: &Sdl) -> Option<Action> {
        match event {
            Event::Quit { .. } => return Some(Action::Quit),
            Event::KeyDown { keycode: Some(key), keymod, repeat: false, .. } => {
                let action = action(key, keymod)?;
                self.act(action, sdl);
                return Some(action);
            }
            Event::Window { win_event, .. } => self.window_changed(win_event),
            Event::RenderTargetsReset { .. } | Event::RenderDeviceReset { .. } => {
                self.painter.forget();
                self.state.see_again();
                self.dirty = true;
            }
            _ => {} // the bell among them: what it tells of is taken before the next sleep
        }
        None
    }

    fn window_changed(&mut self, event: WindowEvent) {
        match event {
            WindowEvent::Minimized | WindowEvent::Hidden => self.hidden = true,
            WindowEvent::Resized(..) => self.sized = true,
            _ => {}
        }
        if matches!(event, WindowEvent::Restored | WindowEvent::Shown | WindowEvent::Maximized | WindowEvent::Exposed) {
            self.hidden = false;
        }
        self.dirty |= !matches!(event, WindowEvent::Enter | WindowEvent::Leave | WindowEvent::Moved(..));
    }

    fn act(&mut self, action: Action, sdl: &Sdl) {
        self.dirty = true;
        match action {
            Action::FullScreen => {
                let window = self.painter.canvas.window_mut();
                let full = window.fullscreen_state() == FullscreenType::Off;
                match window.set_fullscreen(if full { FullscreenType::Desktop } else { FullscreenType::Off }) {
                    Ok(()) => sdl.mouse().show_cursor(!full),
                    Err(e) => log::warn!("could not change to or from full screen: {e}"),
                }
            }
            Action::Stats => self.state.toggle_stats(),
            Action::Freeze => self.state.toggle_freeze(),
            Action::Snapshot => self.state.snapshot(now()),
            Action::Quit => {}
        }
    }
}
