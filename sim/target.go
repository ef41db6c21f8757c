package sim

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/prng"
)

// target finds whom a fault is meant for, as things stand, and the group that it
// has to do with. Where a role is not filled, or its node is down, another node
// that is up takes its place, by a draw that belongs to the fault.
func (r *run) target(f *plan.Fault) (*node, api.GroupID) {
	group := r.group(f.Target)
	var n *node
	switch f.Target.Role {
	case plan.Leader, plan.MetaLeader:
		if host, _, ok := r.oracle.Leader(group); ok {
			n = r.named(host)
		}
	case plan.Follower:
		n = r.follower(group, f.Target.Nth)
	default:
		if f.Target.Node >= 1 && f.Target.Node <= len(r.nodes) {
			n = r.nodes[f.Target.Node-1]
		}
	}
	if n != nil && n.host.Up() {
		return n, group
	}
	return r.anyUp(f), group
}

// group finds the group of a target's partition.
func (r *run) group(t plan.Target) api.GroupID {
	if t.Role == plan.MetaLeader || t.Topic == "" {
		return api.MetaGroup
	}
	if p := r.partition(t); p != nil {
		return p.Group
	}
	return api.MetaGroup
}

func (r *run) partition(t plan.Target) *meta.Partition {
	m := r.oracle.Meta()
	if m == nil {
		return nil
	}
	p, err := m.Resolve(&api.TopicRef{Name: t.Topic}, t.Partition)
	if err != nil {
		return nil
	}
	return p
}

// follower is the nth of the nodes that hold a replica and do not lead.
func (r *run) follower(group api.GroupID, nth int) *node {
	leader, _, _ := r.oracle.Leader(group)
	var others []*node
	for _, n := range r.nodes {
		if n.host.Up() && n.host.Name != leader && r.holds(n, group) {
			others = append(others, n)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return others[nth%len(others)]
}

// holds reports whether meta wants a replica of a group on a node.
func (r *run) holds(n *node, group api.GroupID) bool {
	m := r.oracle.Meta()
	if group == api.MetaGroup || m == nil {
		return true
	}
	p := m.PartitionOf(group)
	if p == nil {
		return false
	}
	_, ok := p.ReplicaOn(r.id(n))
	return ok
}

// id is the identity of a node, by its address; 0 while it has none.
func (r *run) id(n *node) api.NodeID {
	if m := r.oracle.Meta(); m != nil {
		for _, known := range m.Nodes() {
			if env.Endpoint(known.Address) == n.host.Name {
				return known.ID
			}
		}
	}
	return 0
}

// anyUp draws one of the nodes that are up; nil if none is.
func (r *run) anyUp(f *plan.Fault) *node {
	up := slices.DeleteFunc(slices.Clone(r.nodes), func(n *node) bool { return !n.host.Up() })
	if len(up) == 0 {
		return nil
	}
	return up[r.draw(f, drawTarget, int64(len(up)))]
}

// Purposes of the draws of a fault.
const (
	drawTarget = iota + 1
	drawReplica
	drawPeer
	drawNode
)

// draw gives a number below n that belongs to a fault and a purpose.
func (r *run) draw(f *plan.Fault, purpose uint64, n int64) int64 {
	return prng.Scale(prng.Hash(r.plan.Seed, prng.HashString("fault"), uint64(f.Number), purpose), n)
}
