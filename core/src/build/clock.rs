//! The clock, which only the caller owns.

/// Tells the time of day.
pub trait Clock: Send + Sync {
    /// Seconds since 1970, UTC.
    fn unix_seconds(&self) -> i64;

    /// The same in RFC 3339 with whole seconds, as statements want it.
    fn rfc3339(&self) -> String {
        jiff::Timestamp::from_second(self.unix_seconds())
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_string()
    }
}
