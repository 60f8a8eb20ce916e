//! Whether the disk will do: history is kept for ever, so it grows with every run.
//!
//! **Invariant:** what is told before it starts is a guess from other soaks, and says so; what is told later was measured here.

use std::time::Duration;

use crate::{args::Args, sample::Sample, stage::Stage};

/// What a run of the load took on disk, history, rows and bases together, when that was measured last.
const RUN_BYTES: u64 = 4 << 10;
/// With less than this the soak ends: the engine's door closes soon after.
pub(crate) const ROOM_LEFT: u64 = 1 << 30;
/// Shorter ones are not worth a word.
const LONG: Duration = Duration::from_secs(600);

/// Before it starts, where there is a rate: what it will take.
pub(crate) fn foretell(args: &Args, stage: &Stage) -> anyhow::Result<()> {
    let Some(rate) = args.rate.filter(|_| args.length >= LONG) else { return Ok(()) };
    let (need, room) = (u64::from(rate) * args.length.as_secs() * RUN_BYTES, stage.room()?.saturating_sub(ROOM_LEFT));
    eprintln!("disk: about {} GiB for this rate and time, as other soaks went; {} GiB are free", gib(need), gib(room));
    if need > room {
        let fits = room / RUN_BYTES / args.length.as_secs().max(1);
        eprintln!("warning: that will not do; it ends when {} GiB are left. --rate {fits} would fit", gib(ROOM_LEFT));
    }
    Ok(())
}

/// Watches whether it will do.
#[derive(Debug, Default)]
pub(crate) struct Forecast {
    from: Option<(Duration, u64)>,
    is_told: bool,
}

impl Forecast {
    /// With each sample; warns once, from what was measured.
    pub(crate) fn look(&mut self, sample: &Sample, length: Duration, room: u64) -> Option<String> {
        let first = LONG.min(length) / 10;
        let Some((since, bytes)) = self.from else {
            self.from = (sample.at >= first).then(|| (sample.at, sample.disk.total()));
            return None;
        };
        let watched = sample.at - since;
        if self.is_told || watched < first * 4 || length < LONG {
            return None;
        }
        self.is_told = true;
        let a_second = sample.disk.total().saturating_sub(bytes) as f64 / watched.as_secs_f64();
        let need = (a_second * length.saturating_sub(sample.at).as_secs_f64()) as u64;
        let room = room.saturating_sub(ROOM_LEFT);
        let told = format!("disk: {} GiB more at this pace; {} GiB are free", gib(need), gib(room));
        let lasts = Duration::from_secs((room as f64 / a_second.max(1.0)) as u64);
        let lasts = humantime::format_duration(lasts);
        Some(if need > room { format!("{told}\nwarning: that will not do; it ends in about {lasts}") } else { told })
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1_u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_will_not_do_is_told_once_from_what_was_measured() {
        let (mut forecast, day) = (Forecast::default(), Duration::from_secs(86_400));
        let told: Vec<_> = (0..60)
            .filter_map(|minute| {
                let mut sample = Sample::at_minute(minute, 0);
                // A MiB a second.
                sample.disk.ledger = minute * 60 * (1 << 20);
                forecast.look(&sample, day, 11 << 30)
            })
            .collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("GiB more at this pace; 10.0 GiB are free\nwarning: that will not do"), "{}", told[0]);
        assert!(told[0].contains("it ends in about 2h 50m"), "{}", told[0]);
    }
}
