package sim

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/plan"
)

// departEvery is how often whoever runs the cluster sees to a node that departs.
const departEvery = 500 * env.Millisecond

// replicas is how many of each partition there are.
const replicas = 3

// part begins the end of a node in the cluster: because what it had is lost, or
// because it is to go. One node does at a time: two of three that have lost what they
// promised are a majority.
func (r *run) part(a *armed) bool {
	f, n := a.fault, a.node
	if n == nil || !n.host.Up() || r.id(n) == 0 || n.departure != nil {
		return false
	}
	if r.parting() && !r.plan.Unrestricted {
		r.postpone(a)
		return false
	}
	fair := r.mayRot(n)
	if f.Kind == plan.Leave {
		fair = r.staying() > max(r.plan.Nodes, replicas) // others can take what it has
	}
	if !fair {
		return false
	}
	r.noteFault(f, string(n.host.Name), histories.Point)
	switch f.Kind {
	case plan.JournalRot:
		n.kill()
		defer n.boot()
		return r.rotJournal(n, f)
	case plan.LostJournal:
		n.kill()
		r.loseJournal(n, f)
		n.boot()
	case plan.LostDisk:
		n.lose()
		r.after(f, 1, 1, n.replace)
	default:
		r.departs(n)
	}
	return true
}

// postpone has a loss strike later, where nodes come and go all the time.
func (r *run) postpone(a *armed) {
	if !r.plan.Workload.Moves() || a.fault.Kind == plan.Leave {
		return
	}
	a.node = nil
	r.world.Agenda.After(departEvery, func() {
		if !r.healed {
			r.strike(a)
		}
	})
}

// parting reports whether a node is on its way out of the cluster, or has to be.
func (r *run) parting() bool {
	return slices.ContainsFunc(r.nodes, func(n *node) bool {
		return !n.replaced() && (n.gone || n.rotten || n.departure != nil)
	})
}

// replaced reports whether a node is out of the cluster, and all that it had is elsewhere.
func (n *node) replaced() bool { return n.departure != nil && n.departure.done }

// departs has a node give its replicas to others and leave.
func (r *run) departs(n *node) {
	n.departure = &departure{run: r, node: n, id: r.id(n)}
	r.departures = append(r.departures, n.departure)
	n.departure.tend()
}

// lose ends a machine with all that it has.
func (n *node) lose() {
	if n.gone {
		return
	}
	if n.host.Up() {
		n.crash(disk.Crash{Lose: 100})
	}
	n.gone = true
	if !n.rotten {
		n.run.oracle.Lost(n.host.Name)
	}
	n.image = n.host.Disk.Wipe()
	n.run.oracle.Restarting(n.host.Name)
}

// returns starts the node that was last removed on the disk that it had. It belongs to the
// cluster no more, and whatever it says must move nobody.
func (r *run) returns(f *plan.Fault) bool {
	var n *node
	for _, d := range r.departures {
		if d.done {
			n = d.node
		}
	}
	if n == nil || n.removed {
		return false
	}
	r.noteFault(f, string(n.host.Name), histories.Point)
	n.host.Disk.Restore(n.image)
	n.gone, n.removed = false, true
	n.boot()
	return true
}

// outside reports whether a node runs that is out of the cluster. One that was lost
// before it knew who it was joins as another.
func (n *node) outside() bool { return n.removed && n.run.id(n) == 0 }

// replace lets a new node join for one that is lost, unless one has.
func (n *node) replace() {
	if n.departure == nil && !n.run.plan.Unrestricted {
		n.run.addNode().boot()
		n.run.departs(n)
	}
}

// departure is a node on its way out of the cluster, and what whoever runs that does
// about it: one step after the other, until it is out, whatever happens meanwhile.
type departure struct {
	run  *run
	node *node
	id   api.NodeID
	// busy: an answer is to come. spared: a node has joined because there was none left
	// that could take a replica.
	busy, spared bool
	// why it cannot go on, as it was last told.
	why string
	// done: it is out. It is looked after all the same until it returns.
	done bool
}

// tend takes the next step, again and again.
func (d *departure) tend() {
	m := d.run.oracle.Meta()
	switch held := m.ReplicasOn(d.id); {
	case d.node.removed:
		return
	case m.Node(d.id) == nil:
		d.out()
	case d.busy:
	case len(held) > 0:
		d.drain()
	case !m.Node(d.id).Removing:
		d.do(func(c *core.Client, done func(core.Result)) { c.RemoveNode(d.id, adminPatience, done) })
	}
	d.run.world.Agenda.After(departEvery, d.tend)
}

// out takes the machine of a node that is out of the cluster away. A request to join that it
// had sent may still be on its way: the node that comes of it is to go as well.
func (d *departure) out() {
	if again := d.run.id(d.node); again != 0 {
		d.id, d.done = again, false
		return
	}
	if !d.done {
		d.done = true
		d.node.lose()
		d.run.tell(string(d.node.host.Name), "is out of the cluster")
	}
}

// drain has a replica move, as 'reprise cluster drain' would. Where no node is left for
// one, another node joins.
func (d *departure) drain() {
	d.do(func(c *core.Client, done func(core.Result)) {
		c.Metadata(&api.MetadataRequest{Linearizable: true}, adminPatience, func(result core.Result) {
			if result.Err != nil {
				done(result)
				return
			}
			moves, err := core.PlanDrain(result.Response.GetMetadata(), uint64(d.id), nil)
			switch d.why = ""; {
			case err != nil:
				d.why = ": " + err.Error()
				d.spare()
				done(result)
			case len(moves) == 0:
				done(result) // they are on their way
			default:
				m := moves[0]
				c.MoveReplica(m.Topic, api.Partition(m.Partition), api.NodeID(m.From), api.NodeID(m.To), adminPatience, done)
			}
		})
	})
}

// spare lets a node join, once.
func (d *departure) spare() {
	if !d.spared {
		d.spared = true
		d.run.addNode().boot()
	}
}

func (d *departure) do(call func(*core.Client, func(core.Result))) {
	d.busy = true
	d.run.admin.do(func(c *core.Client) {
		call(c, func(core.Result) { d.busy = false })
	})
}
