//! Timelines: what changes when. One line an event, as `at 10s rate 1mbit`; also the schedules of RFC 8867, built in.

use std::time::Duration;

use super::profiles::profile;
use super::settings::{Rate, Settings};
use crate::units;

/// Events in order of their times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    pub events: Vec<Event>,
    /// It begins anew then.
    pub repeat: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub at: Duration,
    pub way: Way,
    pub change: Change,
}

/// Which direction an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Both,
    Up,
    Down,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Settings by name, in order.
    Set(Vec<(String, String)>),
    /// All of them.
    Profile(String),
}

/// More events than an hour at ten a second has would be a trace.
const EVENTS: usize = 36_000;
/// Shorter rounds would be jitter, and keep a processor busy.
const ROUND: Duration = Duration::from_millis(100);
/// A line that is longer is no line of a script.
const LINE: usize = 1000;

/// RFC 8867, sections 5.1 to 5.3: capacities in the reference's Mbit/s, 50 ms of propagation and 300 ms of queue (section 4.2);
/// forward is up, backward down.
pub const BUILT_IN: [(&str, &str, &str); 3] = [
    (
        "rfc8867-5.1",
        "variable capacity, a single flow",
        "at 0s delay 50ms queue 300ms\nat 0s up rate 1mbit\nat 40s up rate 2500kbit\nat 60s up rate 600kbit\n\
         at 80s up rate 1mbit",
    ),
    (
        "rfc8867-5.2",
        "variable capacity, multiple flows",
        "at 0s delay 50ms queue 300ms\nat 0s up rate 4mbit\nat 25s up rate 2mbit\nat 50s up rate 3500kbit\n\
         at 75s up rate 1mbit\nat 100s up rate 2mbit",
    ),
    (
        "rfc8867-5.3",
        "congested feedback link, flows both ways",
        "at 0s delay 50ms queue 300ms\nat 0s rate 2mbit\nat 20s up rate 1mbit\nat 35s down rate 800kbit\n\
         at 40s up rate 500kbit\nat 60s up rate 2mbit\nat 70s down rate 2mbit",
    ),
];

/// The text of a built-in script.
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(known, ..)| *known == name).map(|(.., text)| *text)
}

impl Script {
    /// Reads a script; errors say which line and why. `scale` multiplies all rates.
    pub fn parse(text: &str, scale: f64) -> Result<Script, String> {
        let mut script = Script::default();
        for (number, line) in text.lines().enumerate() {
            let at = |why: String| format!("line {}: {why}", number + 1);
            if line.len() > LINE {
                return Err(at(format!("lines have {LINE} bytes at most")));
            }
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                script.read(line, scale).map_err(at)?;
            }
        }
        if script.events.is_empty() {
            return Err("it is empty: scripts have lines such as `at 10s rate 1mbit`".to_string());
        }
        Ok(script)
    }

    fn read(&mut self, line: &str, scale: f64) -> Result<(), String> {
        let mut words = line.split_whitespace().flat_map(|word| word.split('=')).peekable();
        if words.next() != Some("at") {
            return Err("lines begin with a time, as in `at 10s rate 1mbit`".to_string());
        }
        let at = units::duration(words.next().ok_or("a time is missing behind `at`")?)?;
        if self.repeat.is_some() || self.events.last().is_some_and(|last| last.at > at) {
            return Err("times must not go back, and nothing comes after `repeat`".to_string());
        }
        let way = match words.peek() {
            Some(&"up") => Way::Up,
            Some(&"down") => Way::Down,
            _ => Way::Both,
        };
        if way != Way::Both {
            words.next();
        }
        let rest: Vec<&str> = words.collect();
        let change = match rest[..] {
            ["repeat"] if at < ROUND => return Err("a round takes 100 ms at least".to_string()),
            ["repeat"] if way == Way::Both => {
                self.repeat = Some(at);
                return Ok(());
            }
            ["profile", name] => {
                profile(name)?;
                Change::Profile(name.to_string())
            }
            _ => Change::Set(settings(&rest, scale)?),
        };
        if self.events.len() == EVENTS {
            return Err(format!("scripts have {EVENTS} events at most: a trace may be what you want"));
        }
        self.events.push(Event { at, way, change });
        Ok(())
    }

    /// What is due from `from` on and before `to`, times counted from the start.
    pub fn due(&self, from: Duration, to: Duration) -> Vec<&Event> {
        let Some(length) = self.repeat else {
            return self.events.iter().filter(|e| (from..to).contains(&e.at)).collect();
        };
        let into = |time: Duration| Duration::from_nanos((time.as_nanos() % length.as_nanos()) as u64);
        let same = from.as_nanos() / length.as_nanos() == to.as_nanos() / length.as_nanos();
        let (from, to) = (into(from), into(to));
        let later = self.events.iter().filter(|e| e.at >= from && (!same || e.at < to));
        let again = self.events.iter().filter(|e| !same && e.at < to);
        later.chain(again).collect()
    }

    /// When the next event after `time` is; none when all is over.
    pub fn next(&self, time: Duration) -> Option<Duration> {
        let Some(length) = self.repeat else {
            return self.events.iter().map(|e| e.at).find(|&at| at > time);
        };
        let round = u32::try_from(time.as_nanos() / length.as_nanos()).ok()?;
        let begun = length.checked_mul(round)?;
        let later = self.events.iter().map(|e| begun + e.at).find(|&at| at > time);
        later.or_else(|| Some(begun + length + self.events.first()?.at))
    }
}

/// Pairs of a name and a value, checked, with their rates scaled.
fn settings(words: &[&str], scale: f64) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut checked = Settings::default();
    if words.is_empty() {
        return Err("a setting is missing, as in `at 10s rate 1mbit`".to_string());
    }
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(format!("`{}` has no value", pair[0])) };
        checked.set(name, value)?;
        let scaled = |rate: u64| units::show_rate(((rate as f64 * scale) as u64).max(1));
        let value = match (*name, &checked.rate, checked.bandwidth) {
            ("rate", Some(Rate::Fixed(rate)), _) => scaled(*rate),
            ("bandwidth", _, Some(rate)) => scaled(rate),
            _ => value.to_string(),
        };
        pairs.push((name.to_string(), value));
    }
    Ok(pairs)
}

impl Event {
    /// Carries it out.
    pub fn apply(&self, up: &mut Settings, down: &mut Settings) -> Result<(), String> {
        let (mut new_up, mut new_down) = (up.clone(), down.clone());
        match &self.change {
            Change::Profile(name) => (new_up, new_down) = profile(name)?,
            Change::Set(pairs) => {
                for (name, value) in pairs {
                    new_up.set(name, value)?;
                    new_down.set(name, value)?;
                }
            }
        }
        if self.way != Way::Down {
            *up = new_up;
        }
        if self.way != Way::Up {
            *down = new_down;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_timeline_is_followed() {
        let script =
            Script::parse("# a day\nat 0s delay 10ms\nat 10s up rate=1mbit loss=2%\nat 20s profile 3g", 1.0).unwrap();
        let (mut up, mut down) = Default::default();
        script.due(S(0), S(11)).iter().for_each(|e| e.apply(&mut up, &mut down).unwrap());
        assert_eq!(
            (up.to_string().as_str(), down.to_string().as_str()),
            ("delay=10ms,loss=2%,rate=1mbit", "delay=10ms")
        );
        assert_eq!((script.next(S(0)), script.next(S(10)), script.next(S(20))), (Some(S(10)), Some(S(20)), None));
    }

    #[test]
    fn it_repeats() {
        let script = Script::parse("at 0s loss 1%\nat 5s loss 2%\nat 10s repeat", 1.0).unwrap();
        assert_eq!(script.next(S(5)), Some(S(10)));
        let due = script.due(S(7), S(12));
        assert_eq!((due.len(), due[0].at), (1, S(0)));
        assert_eq!(script.due(S(12), S(16))[0].at, S(5));
    }

    #[test]
    fn the_schedules_of_rfc_8867_scale() {
        for (name, ..) in BUILT_IN {
            Script::parse(built_in(name).unwrap(), 1.0).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        let script = Script::parse(built_in("rfc8867-5.1").unwrap(), 20.0).unwrap();
        let (mut up, mut down) = Default::default();
        script.due(S(0), S(61)).iter().for_each(|e| e.apply(&mut up, &mut down).unwrap());
        assert_eq!(up.to_string(), "delay=50ms,rate=12mbit,queue=300ms");
    }

    #[test]
    fn errors_name_the_line() {
        for (bad, why) in [
            ("", "it is empty"),
            ("at 1s rate 1mbit\nfoo", "line 2: lines begin with a time"),
            ("at 1s\n", "line 1: a setting is missing"),
            ("at 1s rat 1mbit", "line 1: unknown setting `rat`"),
            ("at 1s rate", "line 1: `rate` has no value"),
            ("at 2s loss 1%\nat 1s loss 2%", "line 2: times must not go back"),
            ("at soon loss 1%", "line 1: unknown unit"),
            ("at 1s profile 9g", "line 1: unknown profile"),
            ("at 0s loss 1%\nat 1us repeat", "line 2: a round takes"),
        ] {
            let error = Script::parse(bad, 1.0).unwrap_err();
            assert!(error.starts_with(why), "{bad:?}: {error}");
        }
    }
}
