package sim

import (
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
)

// after does something when part/whole of a fault's length has passed, unless the
// heal came first.
func (r *run) after(f *plan.Fault, part, whole int64, do func()) {
	r.world.Agenda.After(env.Time(f.Length)*env.Millisecond*env.Time(part)/env.Time(whole), func() {
		if !r.healed {
			do()
		}
	})
}

// crashLoop cuts a node's power, starts it, and cuts it again soon after, Strength
// times; at the end of its length the node stays up.
func (r *run) crashLoop(a *armed) {
	f, n := a.fault, a.node
	r.power(n, f)
	whole := 2*f.Strength + 1
	for i := range f.Strength {
		r.after(f, 2*i+1, whole, n.boot)
		r.after(f, 2*i+2, whole, func() {
			if n.host.Up() {
				r.power(n, f)
			}
		})
	}
	r.later(a, n.boot)
}

// rollingRestart asks one node after the other to leave, and starts each again
// before the next is asked. One that does not leave in time is killed.
func (r *run) rollingRestart(a *armed) bool {
	f, whole := a.fault, int64(3*len(r.nodes))
	a.node = nil
	for i, n := range r.nodes {
		first := int64(3 * i)
		r.after(f, first, whole, n.leave)
		r.after(f, first+2, whole, n.comeBack)
	}
	r.noteFault(f, "all nodes", histories.Begin)
	r.later(a, func() {})
	return true
}

// leave asks a node that is up to shut down.
func (n *node) leave() {
	if n.host.Up() {
		n.leaving = true
		n.host.Do(func(env.Process) { n.broker.Shutdown() })
	}
}

// comeBack starts a node that was asked to leave, and kills it if it has not left.
func (n *node) comeBack() {
	if n.leaving {
		n.kill()
	}
	n.boot()
}

// wallShift is by how many milliseconds a fault puts the time of day forward.
func wallShift(f *plan.Fault) int64 {
	if f.Inward {
		return -f.Strength
	}
	return f.Strength
}
