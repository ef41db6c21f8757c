package command

import (
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

// Clock measures idleness by the stamps of applied commands alone, so that every
// replica, and every replay, finds the same things idle.
//
// The stamps are wall clocks of changing leaders: they jump, either way, and two
// leaders may stand a year apart. So the clock adds up the steps from stamp to
// stamp: one that goes back counts nothing, and one that goes forward at most
// MaxStep. It therefore runs late, never early, beyond one MaxStep for each jump:
// what needs a day of idleness survives any clock that jumps less often than
// a thousand times. A log that rests for longer than MaxStep ages by MaxStep.
type Clock struct {
	last    api.Milliseconds // the latest stamp
	elapsed api.Milliseconds // the sum of steps; never goes back, from 0
}

// MaxStep is the most that the time between two commands counts.
const MaxStep api.Milliseconds = 60_000

// Day is how long a thing must be idle before a state machine forgets it.
const Day api.Milliseconds = 24 * 60 * 60_000

// Advance takes the stamp of the next command.
func (c *Clock) Advance(now api.Milliseconds) {
	if now > c.last {
		// A difference of two int64 above 0 fits a uint64.
		step := min(uint64(now)-uint64(c.last), uint64(MaxStep))
		c.elapsed += min(api.Milliseconds(step), math.MaxInt64-c.elapsed)
	}
	c.last = now
}

// Elapsed is the time that the log has lasted.
func (c *Clock) Elapsed() api.Milliseconds { return c.elapsed }

// Append appends the clock to a saved state: the latest stamp (uvarint, as in a
// head), then the time elapsed (uvarint).
func (c *Clock) Append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(c.last))
	return codec.AppendUvarint(b, uint64(c.elapsed))
}

// ReadClock reads what Append wrote; false if it is no clock.
func ReadClock(r *codec.Reader) (Clock, bool) {
	c := Clock{last: api.Milliseconds(r.Uvarint()), elapsed: api.Milliseconds(r.Uvarint())}
	return c, r.Err() == nil && c.elapsed >= 0
}
