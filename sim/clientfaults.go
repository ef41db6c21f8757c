package sim

import (
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/world"
)

// hitClient strikes one client.
func (r *run) hitClient(f *plan.Fault) bool {
	c := r.clients[f.Client%len(r.clients)]
	if !c.host.Up() || c.done {
		return false
	}
	var end func()
	switch f.Kind {
	case plan.CrashClient:
		c.crash()
		end = c.comeBack
	case plan.PauseClient:
		c.host.Pause()
		end = c.host.Resume
	default:
		c.host.Drift(f.Strength)
		hours := (f.Strength - world.TrueRate) * int64(3600*env.Second/env.Millisecond)
		c.host.ShiftWall(hours)
		end = c.host.SetClockRight
	}
	target := string(c.host.Name)
	r.noteFault(f, target, histories.Begin)
	r.after(f, 1, 1, func() {
		r.noteFault(f, target, histories.End)
		end()
	})
	return true
}

// comeBack begins a client's next life.
func (c *client) comeBack() {
	if !c.host.Up() {
		c.begin()
	}
}
