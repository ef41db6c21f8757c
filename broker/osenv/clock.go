package osenv

import (
	"time"

	"github.com/reprise-mq/reprise/broker/env"
)

// clock is the real clock of one process. All but Now and Wall belong to the
// driver's goroutine.
type clock struct {
	origin time.Time
	asked  bool // a wake is wanted, at at
	at     env.Time
}

// Now is the time since the driver was made; see env.Clock.
func (c *clock) Now() env.Time { return env.Time(time.Since(c.origin)) }

// Wall is the time of day; see env.Clock.
func (c *clock) Wall() int64 { return time.Now().UnixMilli() }

// WakeAt asks for a wake; see env.Clock.
func (c *clock) WakeAt(t env.Time) { c.asked, c.at = true, t }

// due says whether the wake's time has come, and takes the wish away.
func (c *clock) due() bool {
	if !c.asked || c.Now() < c.at {
		return false
	}
	c.asked = false
	return true
}

// arm sets a timer to the wake, if one is wanted.
func (c *clock) arm(timer *time.Timer) {
	if c.asked {
		timer.Reset(time.Duration(c.at - c.Now()))
	} else {
		timer.Stop()
	}
}
