package broker

import (
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/replica"
	"github.com/reprise-mq/reprise/broker/trace"
)

// What a node looks after from tick to tick is level-triggered: it compares what
// is with what meta wants and takes one step. So it goes on after any
// interruption, on whichever node leads by then.

const (
	// A group is looked at every so many ticks, and its clock moved on by as many: what
	// an idle group costs is mostly that its memory has to be fetched.
	lookEvery = 2
	// A group's configuration and leader are compared with what meta wants every so many
	// ticks. This and campaignEvery are multiples of lookEvery.
	tendEvery = 4
	// A leader says that it leads one time in so many: who was not reached when it was
	// elected, and holds no replica, learns it so.
	announceEvery = 25
	// A new group's first founder calls an election every few ticks until there is
	// a leader: the other founders may not have made their replicas yet.
	campaignEvery = 4
	maxCampaigns  = 10
	// A follower whose link to the leader broke calls so many: the other followers
	// may not have heard of it yet.
	lossCampaigns = 3
	// A node that leaves waits this many ticks for others to take over.
	leavePatienceTicks = 20
	// A node whose address has changed tells meta every so many ticks.
	updateEvery = 20
)

func (n *Node) tend(g *group) {
	n.callElection(g)
	if (n.ticks+uint64(g.id))%tendEvery != 0 {
		return
	}
	if g.id == api.MetaGroup {
		n.tendMeta(g)
		return
	}
	p := n.meta.state.PartitionOf(g.id)
	if p == nil {
		return
	}
	g.prefer(preferred(p))
	if !g.replica.Serves() {
		return
	}
	if g.coordinator != nil {
		g.coordinator.tend()
	} else {
		n.retain(g, p)
	}
	if (n.ticks/tendEvery)%announceEvery == 0 {
		n.announce(g)
	}
	if n.settled(g, p) {
		n.balance(g)
	}
}

// agreement is what a group's configuration was compared with, and as of when.
type agreement struct {
	meta, conf api.Index
}

// settled moves a partition's group one step towards the replicas that meta wants, and
// reports whether it has them. As long as neither meta nor the configuration has
// changed, there is nothing to compare: most groups never change.
func (n *Node) settled(g *group, p *meta.Partition) bool {
	_, index := g.replica.Conf()
	now := agreement{n.meta.group.replica.Applied(), index}
	if g.agreed == now {
		return true
	}
	want := replica.Membership{Voters: p.Wanted()}
	if !g.replica.Has(want) && !n.informed(g) {
		return false
	}
	settled := g.replica.Reconcile(want)
	switch {
	case settled && p.Changing():
		n.tellMeta(replicaChanged(g))
	case settled:
		g.agreed = now
	}
	return settled
}

// informed reports whether this node knows all of meta that brought about the configuration
// of a group, as of when it began to serve as the group's leader; else it asks. A leader
// that is behind would undo a change that it has in its log: bring a replica back that meta
// has recorded to be out, and that its node may throw away at any time, with entries that
// it has acknowledged since.
func (n *Node) informed(g *group) bool {
	term := g.replica.Role().Term
	if g.informed != term && !g.inquires {
		g.inquires = true
		n.meta.group.replica.Read(func(err error) {
			g.inquires = false
			if err == nil {
				g.informed = term
			}
		})
	}
	return g.informed == term
}

// tendMeta gives the meta group the voters that its own state asks for.
func (n *Node) tendMeta(g *group) {
	g.prefer(api.ReplicaID(n.meta.state.PreferredMeta()))
	if !g.replica.Serves() {
		n.meta.spreadAt = n.ticks + uint64(n.cfg.SpreadTicks) // who leads has to hear of the others first
		return
	}
	voters, learners := n.meta.state.MetaConfig()
	settled := g.replica.Reconcile(replica.Membership{Voters: voters, Learners: learners})
	_, index := g.replica.Conf()
	leaving := slices.ContainsFunc(n.meta.state.Nodes(), func(node *meta.Node) bool { return node.Removing })
	if settled && (leaving || g.reported != index) {
		g.reported = index
		n.proposeMeta(replicaChanged(g), nil)
	}
	if settled {
		n.balance(g)
	}
	n.spread(g)
}

// replicaChanged is the report of a group's committed configuration.
func replicaChanged(g *group) *api.Request {
	conf, index := g.replica.Conf()
	return &api.Request{Body: &api.Request_ReplicaChanged{ReplicaChanged: &api.ReplicaChangedRequest{
		Group: uint64(g.id), Index: uint64(index), Voters: conf.GetVoters(), Learners: conf.GetLearners(),
	}}}
}

// preferred is the replica that should lead: the first that is to stay.
func preferred(p *meta.Partition) api.ReplicaID {
	i := slices.IndexFunc(p.Replicas, func(r meta.Replica) bool { return !r.Removing && !r.Adding })
	if i < 0 {
		return 0
	}
	return p.Replicas[i].ID
}

// prefer notes which replica should lead. Every replica does, whoever leads: one
// that is elected in between has to know that another was asked for since.
func (g *group) prefer(to api.ReplicaID) {
	if g.preferred != to {
		g.hasty = g.preferred != 0
		g.preferred = to
	}
	if g.replica.Role().Leader == to {
		g.hasty = false
	}
}

// balance hands leadership to the preferred replica: at once when it has just
// become that, else only after a while, lest a replica that comes and goes takes
// the leadership along. Not while the configuration changes: a replica that has a
// change to apply does not campaign, and the group would wait for it.
func (n *Node) balance(g *group) {
	to := g.preferred
	if to == 0 || to == g.replica.ID() || !g.hasty && n.ticks < g.balanceAt || !g.replica.Fit(to) || !n.hasRoom(g.id, to) {
		return
	}
	g.hasty = false
	g.balanceAt = n.ticks + uint64(n.cfg.BalanceTicks)
	g.replica.Transfer(to)
}

func (n *Node) callElection(g *group) {
	if g.campaigns == 0 || (n.ticks+uint64(g.id))%campaignEvery != 0 {
		return
	}
	g.campaigns--
	if g.replica.Role().Leader != 0 {
		g.campaigns = 0
		return
	}
	g.replica.Campaign()
}

// watchNode looks after what concerns the node as a whole.
func (n *Node) watchNode() {
	n.handOver()
	n.makeFirstUser()
	if n.ticks%updateEvery != 0 || !n.meta.informed() {
		return
	}
	n.forget()
	me := n.meta.state.Node(n.identity.node)
	if me != nil && env.Endpoint(me.Address) != n.cfg.Address {
		n.tellMeta(&api.Request{Body: &api.Request_UpdateNode{UpdateNode: &api.UpdateNodeRequest{
			NodeId: uint64(n.identity.node), Token: n.identity.token, Address: string(n.cfg.Address),
		}}})
	}
}

// stall watches the journal's syncs. A leader whose disk hangs holds everyone up:
// its heartbeats go on while nothing it is given becomes durable.
type stall struct {
	// The oldest batch that waits for its sync, and for how many ticks it has.
	batch uint64
	ticks int
	// Groups that are led here and could not be handed over: they are not ticked,
	// and their messages dropped both ways, so that others elect a leader.
	frozen map[api.GroupID]bool
}

func (n *Node) watchStall() {
	batch, waiting := n.journal.Oldest()
	if !waiting || batch != n.stall.batch {
		n.stall = stall{batch: batch}
		return
	}
	n.stall.ticks++
	if n.stall.ticks < n.cfg.StallTicks {
		return
	}
	first := n.stall.ticks == n.cfg.StallTicks
	for _, g := range n.order {
		if g.replica == nil || !g.replica.Leads() {
			continue
		}
		if to, ok := g.replica.Successor(anyReplica); first && ok {
			g.replica.Transfer(to)
		}
		if n.stall.ticks == 2*n.cfg.StallTicks {
			n.freeze(g)
		}
	}
	if first {
		n.trace(trace.Event{Level: trace.Warn, Name: "journal sync stalled, leadership handed over"})
	}
}

func anyReplica(api.ReplicaID) bool { return true }

func (n *Node) freeze(g *group) {
	if n.stall.frozen == nil {
		n.stall.frozen = make(map[api.GroupID]bool)
	}
	n.stall.frozen[g.id] = true
	g.replica.FailReads()
	g.lost()
	n.trace(trace.Event{Level: trace.Warn, Name: "journal sync stalled, group frozen", Group: g.id})
}

// leaving is a clean shutdown under way.
type leaving struct {
	asked bool
	ticks int
}

// Shutdown hands leadership to others. The driver may stop the node once Done.
func (n *Node) Shutdown() {
	if n.leaving.asked {
		return
	}
	n.leaving.asked = true
	n.trace(trace.Event{Level: trace.Info, Name: "leadership is handed over"})
	n.handOver()
}

// Done reports whether a shutdown has nothing left to wait for: no other replica
// is fit to lead what this node still leads, or they have had their time.
func (n *Node) Done() bool {
	if n.failed != nil {
		return true
	}
	if !n.leaving.asked {
		return false
	}
	return n.phase != phaseServing || n.leaving.ticks >= leavePatienceTicks || len(n.handable()) == 0
}

func (n *Node) handOver() {
	if !n.leaving.asked || n.phase != phaseServing {
		return
	}
	n.leaving.ticks++
	for _, g := range n.handable() {
		to, _ := g.replica.Successor(anyReplica)
		g.replica.Transfer(to)
	}
}

// handable lists the groups that are led here and that another replica could lead.
func (n *Node) handable() []*group {
	return slices.DeleteFunc(slices.Clone(n.order), func(g *group) bool {
		if g.replica == nil || !g.replica.Leads() {
			return true
		}
		_, ok := g.replica.Successor(anyReplica)
		return !ok
	})
}
