//! Networks by name, as `--profile` and scripts use them.

use super::settings::Settings;

/// Name, what it is and where its figures are from, client → target, target → client.
///
/// Sources: `comcast` is the table of github.com/tylertreat/comcast (latency there is of the round trip: half of it
/// here); `wpt` is WebPageTest's connectivity.ini, with rates for each way and the round trip; `ookla` is Ookla's
/// "Above Maine, Starlink Twinkles" (18 December 2024): medians of 116.77 and 18.17 Mbit/s and of 47 ms, which say
/// nothing of loss.
pub const PROFILES: [(&str, &str, &str, &str); 14] = [
    ("gprs", "2.5G (comcast)", "delay=250ms,loss=2%,rate=50kbit", "delay=250ms,loss=2%,rate=50kbit"),
    ("edge", "2.75G (comcast)", "delay=150ms,loss=1.5%,rate=250kbit", "delay=150ms,loss=1.5%,rate=250kbit"),
    ("3g", "HSDPA (comcast)", "delay=125ms,loss=1.5%,rate=750kbit", "delay=125ms,loss=1.5%,rate=750kbit"),
    ("3g-fast", "HSPA+ (wpt)", "delay=75ms,rate=768kbit", "delay=75ms,rate=1600kbit"),
    ("4g", "busy cell (wpt)", "delay=85ms,rate=9mbit", "delay=85ms,rate=9mbit"),
    ("lte", "quiet cell (wpt)", "delay=35ms,rate=12mbit", "delay=35ms,rate=12mbit"),
    ("dial-up", "a modem (comcast)", "delay=92500us,loss=2%,rate=40kbit", "delay=92500us,loss=2%,rate=40kbit"),
    ("dsl-poor", "a long line (comcast)", "delay=35ms,loss=2%,rate=2mbit", "delay=35ms,loss=2%,rate=2mbit"),
    ("dsl", "a short line (comcast)", "delay=20ms,loss=0.5%,rate=8mbit", "delay=20ms,loss=0.5%,rate=8mbit"),
    ("cable", "a shared cable (wpt)", "delay=14ms,rate=1mbit", "delay=14ms,rate=5mbit"),
    ("wifi", "indoors (comcast)", "delay=20ms,loss=0.2%,rate=30mbit", "delay=20ms,loss=0.2%,rate=30mbit"),
    ("fibre", "to the home (wpt, FIOS)", "delay=2ms,rate=5mbit", "delay=2ms,rate=20mbit"),
    ("starlink", "low orbit (ookla)", "delay=23500us,rate=18mbit", "delay=23500us,rate=117mbit"),
    ("satellite", "geostationary (comcast)", "delay=750ms,loss=0.2%", "delay=750ms,loss=0.2%"),
];

/// The settings up and down of a profile.
pub fn profile(name: &str) -> Result<(Settings, Settings), String> {
    let found = PROFILES.iter().find(|(known, ..)| *known == name);
    let Some((_, _, up, down)) = found else {
        let known: Vec<&str> = PROFILES.iter().map(|(name, ..)| *name).collect();
        return Err(format!("unknown profile `{name}`: there are {}", known.join(", ")));
    };
    Ok((up.parse()?, down.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_profiles_are_settings() {
        for (name, ..) in PROFILES {
            profile(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        assert!(profile("4h").unwrap_err().contains("there are gprs"));
    }
}
