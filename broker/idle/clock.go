// Package idle is how a replicated state machine forgets: a clock that the stamps
// of applied commands drive, and a table that knows its entries by last use. All
// replicas, and every replay, forget the same things at the same commands. It never
// reads a real clock, and knows nothing of what it holds.
package idle

import (
	"math"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

// Clock measures how long a log has lasted, by the stamps of its commands.
//
// The stamps are wall clocks of changing leaders: they jump, either way, and two
// leaders may stand a year apart. So the clock adds up the steps from stamp to
// stamp: one that goes back counts nothing, and one that goes forward MaxStep at
// most. A leap of a wall clock makes it run early by MaxStep, not by the leap; a log
// that rests for longer than MaxStep makes it run late, and then things are
// remembered longer than they need be, which costs nothing but their place.
type Clock struct {
	last    api.Milliseconds // the latest stamp
	elapsed api.Milliseconds // the sum of the steps; from 0, and never goes back
}

// MaxStep is the most that the time between two commands counts.
const MaxStep api.Milliseconds = 60_000

// Advance takes the stamp of the next command.
func (c *Clock) Advance(stamp api.Milliseconds) {
	if stamp > c.last {
		// Two int64 may lie further apart than an int64 reaches, but not a uint64.
		step := min(uint64(stamp)-uint64(c.last), uint64(MaxStep))
		c.elapsed += min(api.Milliseconds(step), math.MaxInt64-c.elapsed)
	}
	c.last = stamp
}

// Elapsed is how long the log has lasted.
func (c *Clock) Elapsed() api.Milliseconds { return c.elapsed }

// Append appends the clock to a saved state: the latest stamp in two's complement,
// then the time elapsed, both uvarint.
func (c *Clock) Append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(c.last))
	return codec.AppendUvarint(b, uint64(c.elapsed))
}

// ReadClock reads what Append wrote; false if it is no clock.
func ReadClock(r *codec.Reader) (Clock, bool) {
	c := Clock{last: api.Milliseconds(r.Uvarint()), elapsed: api.Milliseconds(r.Uvarint())}
	return c, r.Err() == nil && c.elapsed >= 0
}
