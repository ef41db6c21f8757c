package sim

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
)

// act does what an administrator would. Whether the cluster takes it is its own
// affair; faults may be about.
func (r *run) act(a *armed) bool {
	f := a.fault
	if f.Kind == plan.Join {
		if r.staying() >= r.plan.Nodes+maxMore {
			return false
		}
		n := r.addNode()
		n.boot()
		a.node = n
		r.noteFault(f, string(n.host.Name), histories.Point)
		return true
	}
	p := r.partition(f.Target)
	if p == nil || len(p.Replicas) == 0 {
		return false
	}
	from := p.Replicas[r.draw(a.fault, drawReplica, int64(len(p.Replicas)))]
	done := func(core.Result) {}
	if f.Kind == plan.Elect {
		elected := from.Node
		if f.Strength > 0 {
			elected = 0
		}
		r.noteFault(f, p.String(), histories.Point)
		r.admin.do(func(c *core.Client) {
			c.ElectLeader(f.Target.Topic, p.Number, elected, adminPatience, done)
		})
		return true
	}
	to := r.strangers(p)
	if len(to) == 0 {
		return false
	}
	chosen := to[r.draw(a.fault, drawPeer, int64(len(to)))]
	r.noteFault(f, p.String(), histories.Point)
	r.admin.do(func(c *core.Client) {
		c.MoveReplica(f.Target.Topic, p.Number, from.Node, chosen.ID, adminPatience, done)
	})
	return true
}

// maxMore is how many nodes a cluster may have beside those that it is founded with.
const maxMore = 3

// staying counts the nodes that are in the cluster and not on their way out of it.
func (r *run) staying() int {
	in := 0
	for _, n := range r.nodes {
		if !n.gone && !n.removed && n.departure == nil {
			in++
		}
	}
	return in
}

// strangers are the nodes that hold no replica of a partition.
func (r *run) strangers(p *meta.Partition) []*meta.Node {
	return slices.DeleteFunc(slices.Clone(r.oracle.Meta().Nodes()), func(n *meta.Node) bool {
		_, ok := p.ReplicaOn(n.ID)
		return ok
	})
}
