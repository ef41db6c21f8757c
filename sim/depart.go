package sim

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/plan"
)

// departEvery is how often whoever runs the cluster sees to a node that departs.
const departEvery = 500 * env.Millisecond

// replicas is how many of each partition there are.
const replicas = 3

// part begins the end of a node in the cluster: because what it had is lost, or
// because it is to go. One node does in a run: two of three that have lost what they
// promised are a majority.
func (r *run) part(a *armed) bool {
	f, n := a.fault, a.node
	if n == nil || !n.host.Up() || r.id(n) == 0 || r.parted && !r.plan.Unrestricted {
		return false
	}
	fair := r.mayRot(n)
	if f.Kind == plan.Leave {
		fair = len(r.oracle.Meta().Nodes()) > max(r.plan.Nodes, replicas) // others can take what it has
	}
	if !fair {
		return false
	}
	r.noteFault(f, string(n.host.Name), histories.Point)
	switch f.Kind {
	case plan.JournalRot:
		n.kill()
		defer n.boot()
		if !r.rotJournal(n, f) {
			return false
		}
	case plan.LostDisk:
		n.lose()
		r.after(f, 1, 1, n.replace)
	default:
		r.departs(n)
	}
	r.parted = true
	return true
}

// departs has a node give its replicas to others and leave.
func (r *run) departs(n *node) {
	r.departed = &departure{run: r, node: n, id: r.id(n)}
	r.departed.tend()
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

// returns starts the node that was removed on the disk that it had. It belongs to the
// cluster no more, and whatever it says must move nobody.
func (r *run) returns(f *plan.Fault) bool {
	if r.departed == nil || !r.departed.done || r.departed.node.removed {
		return false
	}
	n := r.departed.node
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
	if n.run.departed == nil && !n.run.plan.Unrestricted {
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
	// busy: an answer is to come.
	busy bool
	// spared: a node has joined because all had replicas.
	spared bool
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
		d.move(held)
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

// move has a replica that is not on its way yet move to a node that has none. Where all
// nodes have one, as after a move to this node that was under way, another joins.
func (d *departure) move(held []*meta.Partition) {
	for _, p := range held {
		if own, _ := p.ReplicaOn(d.id); own.Removing {
			continue
		}
		heirs := slices.DeleteFunc(d.run.strangers(p), func(n *meta.Node) bool { return n.ID == d.id || n.Removing })
		if len(heirs) == 0 {
			d.spare()
			continue
		}
		d.do(func(c *core.Client, done func(core.Result)) {
			c.MoveReplica(p.Topic.Name, p.Number, d.id, heirs[0].ID, adminPatience, done)
		})
		return
	}
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
