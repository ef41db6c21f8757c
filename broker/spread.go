package broker

import (
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/trace"
)

// spreadRetryTicks is when nodes are compared again if none of those that should lead more is
// suitable. Now and then raft has not heard of anybody for a tick or two, which comes round
// every ten ticks; three never keeps time with that. A node may also be away for days, and
// each comparison looks at every partition.
const spreadRetryTicks = 3

// spread has nodes lead equally many partitions: the meta group's leader makes another
// replica the preferred leader of one partition, and after a while of another, as long as
// that evens something out. What it goes by is which replicas are preferred, never who
// leads just now, so a node that fails and comes back changes nothing; a node that is away,
// behind or out of room gets no more to lead. Each step makes the sum of squares of what
// nodes lead smaller, so there is an end to them.
func (n *Node) spread(g *group) {
	if n.cfg.SpreadTicks == 0 || n.ticks < n.meta.spreadAt {
		return
	}
	p, to := n.meta.state.Uneven(func(node *meta.Node) bool { return n.mayLeadMore(g, node) })
	if p == nil && n.meta.state.CanSpread() {
		n.meta.spreadAt = n.ticks + spreadRetryTicks
		return
	}
	n.meta.spreadAt = n.ticks + uint64(n.cfg.SpreadTicks)
	if p == nil {
		return
	}
	n.trace(trace.Event{Level: trace.Mark, Name: "preferred leader spread", Group: p.Group})
	n.proposeMeta(&api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{
		Topic: &api.TopicRef{Id: uint64(p.Topic.ID)}, Partition: int32(p.Number), Node: uint64(to), Spread: true,
	}}}, nil)
}

// mayLeadMore reports whether a node is there, has caught up with meta, and has room.
func (n *Node) mayLeadMore(g *group, node *meta.Node) bool {
	if node.ID == n.identity.node {
		return !n.space.low && !n.leaving.asked
	}
	return g.replica.CaughtUp(node.MetaReplica()) && !n.space.others[node.ID]
}
