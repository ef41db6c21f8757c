package broker

import (
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
	groups "github.com/reprise-mq/reprise/broker/group"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/replica"
)

// metaGroup is this node's replica of group 0, and what follows from its state.
// Every node has one, as a voter or as a learner.
type metaGroup struct {
	group *group
	state *meta.State
	// Replicas may have to be made or ended: nodes or topics have changed.
	moved bool
	// Replicas that were ended in this tick.
	ends int
	// The tick from which, while it leads, another preferred leader may be made.
	spreadAt uint64
	// Destroyed groups whose topic is gone. The journal's mark of each stays until
	// no recovery of this node can find the topic again.
	graves []grave
}

type grave struct {
	group api.GroupID
	// The meta entry up to which the topic's end was applied.
	index api.Index
}

// Marks in the journal are few; beyond this many the meta group is checkpointed so
// that they may go.
const maxGraves = 64

// Apply is replica.Machine.
func (m *metaGroup) Apply(_ api.Index, data []byte) int32 {
	out := m.state.Apply(data)
	if out.Response != nil {
		if out.Response.GetInitProducer() == nil && out.Response.GetError() == nil {
			m.moved = true
		}
		m.group.answer(out.Tag, func() *api.Response { return out.Response })
	}
	return 0
}

// Save is replica.Machine.
func (m *metaGroup) Save() []byte { return m.state.Save() }

// Restore is replica.Machine.
func (m *metaGroup) Restore(data []byte) error {
	m.moved = true
	return m.state.Restore(data)
}

// SegmentBytes is replica.Machine.
func (m *metaGroup) SegmentBytes() uint64 { return m.state.SegmentBytes() }

// LogStart is replica.Machine. The meta group's log has no records.
func (m *metaGroup) LogStart() api.Offset { return 0 }

// informed reports whether the node has had a state of the cluster: a joiner has none until
// its first snapshot, and what was read of a log that does not open says only what once was.
func (m *metaGroup) informed() bool { return m.group.replica != nil && m.state.Cluster() != "" }

func (m *metaGroup) nodeOf(id api.GroupID, r api.ReplicaID) (api.NodeID, bool) {
	if id == api.MetaGroup {
		node := api.NodeID(r)
		return node, m.state.Node(node) != nil
	}
	p := m.state.PartitionOf(id)
	if p == nil {
		return 0, false
	}
	node := p.NodeOf(r)
	return node, node != 0
}

// changeMeta proposes what a request asks of the meta group.
func (n *Node) changeMeta(c caller, q *api.Request) {
	if n.leaving.asked {
		n.refuse(c, api.Errorf(api.Code_SHUTTING_DOWN, "node %d is leaving; ask another", n.identity.node))
		return
	}
	if e := n.noRoom(n.meta.group); e != nil && q.GetCreateTopic() != nil {
		n.refuse(c, e)
		return
	}
	n.proposeMeta(q, func(response *api.Response) { n.reply(c, response) })
}

func (n *Node) proposeMeta(q *api.Request, done func(*api.Response)) {
	n.meta.group.propose(func(tag command.Tag, now api.Milliseconds) ([]byte, *api.Error) {
		return meta.Encode(tag, now, q, n.silent()...)
	}, done)
}

// tellMeta has the leader of the meta group propose a request; whether it did is
// seen from the state, so an answer is not waited for.
func (n *Node) tellMeta(q *api.Request) {
	if n.meta.group.replica.Leads() {
		n.proposeMeta(q, nil)
		return
	}
	node, ok := n.leaderOf(api.MetaGroup)
	if !ok {
		return
	}
	if address, known := n.addressOf(node); known && node != n.identity.node {
		n.calls.send(address, q, func(*api.Response) {})
	}
}

// maxEnds bounds the replicas that are ended in a tick: a topic may have thousands of
// partitions, and the other groups' elections do not wait for its end.
const maxEnds = 32

// followMeta makes and ends replicas so that this node has those that meta wants
// it to have.
func (n *Node) followMeta() {
	if !n.meta.moved || n.phase != phaseServing {
		return
	}
	n.meta.moved = false
	for _, g := range n.order {
		if g.id == api.MetaGroup || !n.unwanted(g) {
			continue
		}
		if n.meta.ends == maxEnds {
			n.meta.moved = true // the others have to wait for the next tick
			break
		}
		n.meta.ends++
		n.endGroup(g)
	}
	for _, p := range n.meta.state.ReplicasOn(n.identity.node) {
		if n.groups[p.Group] == nil && !n.space.spent {
			n.makeGroup(p)
		}
	}
	n.forgetHints()
}

// ended reports whether a group's topic is gone for good.
func (n *Node) ended(id api.GroupID) bool {
	return id != api.MetaGroup && id <= n.meta.state.LastGroup() && n.meta.state.PartitionOf(id) == nil
}

// unwanted reports whether meta has recorded that a replica's removal committed,
// or that its topic is gone. What meta's state has not come to yet is kept.
func (n *Node) unwanted(g *group) bool {
	mine := n.incarnation(g)
	if mine == 0 {
		return false
	}
	p := n.meta.state.PartitionOf(g.id)
	if p == nil {
		return n.ended(g.id)
	}
	return mine <= p.LastReplica() && p.NodeOf(mine) == 0
}

func (n *Node) endGroup(g *group) {
	n.dropGroup(g)
	gone := func() {
		if n.ended(g.id) && n.groups[g.id] == nil { // the folder is an heir's, too, while there is one
			n.removeGroupFolder(groupFolder(g.id), n.removed)
		}
	}
	if g.restoring {
		n.abandon(g, gone)
	} else {
		g.replica.Destroy(gone)
	}
	g.lost()
	if n.ended(g.id) {
		n.bury(g.id)
	}
	// A later incarnation may be wanted here already.
	n.meta.moved = true
}

// removed takes the end of a removal of files.
func (n *Node) removed(err error) {
	if err != nil {
		n.Fail(err)
	}
}

func (n *Node) bury(id api.GroupID) {
	n.meta.graves = append(n.meta.graves, grave{id, n.meta.group.replica.Applied()})
	if len(n.meta.graves) > maxGraves {
		n.meta.group.replica.Checkpoint()
	}
}

// forget drops the journal's marks of groups that no recovery can find any more:
// the meta group's synced log is past the end of their topics.
func (n *Node) forget() {
	synced := n.journal.Image(api.MetaGroup).Checkpoint.Index
	n.meta.graves = slices.DeleteFunc(n.meta.graves, func(g grave) bool {
		if g.index > synced {
			return false
		}
		n.journal.Append(journal.Update{Group: g.group, Forget: true}, nil)
		return true
	})
}

// makeGroup makes this node's replica of a partition: as a founder, with the
// first frame that all founders have, or as one that waits for a snapshot. A
// replica that was destroyed here is never made again.
func (n *Node) makeGroup(p *meta.Partition) {
	mine, _ := p.ReplicaOn(n.identity.node)
	if image := n.journal.Image(p.Group); image != nil && image.Destroyed >= mine.ID {
		return
	}
	g := n.newGroup(p.Group)
	// What the topic was made with, whatever was changed since: all founders begin with
	// the same bytes.
	if p.Topic.Name == api.GroupsTopic {
		g.coordinate(groups.New(p.Topic.SegmentBytes))
	} else {
		g.keepRecords(partition.New(p.Topic.SegmentBytes))
	}
	cfg := n.replicaConfig(g, mine.ID)
	made := func(r *replica.Replica) { n.opened(g, r) }
	if founders, first := founders(p, mine.ID); first >= 0 {
		if first == 0 {
			g.campaigns = maxCampaigns
		}
		replica.Bootstrap(cfg, founders, made)
		return
	}
	replica.Join(cfg, made)
}

// founders gives the ids of a partition's first replicas, and at which place one of
// them stands, -1 if it came later.
func founders(p *meta.Partition, mine api.ReplicaID) (ids []api.ReplicaID, place int) {
	for i := range p.Founders {
		ids = append(ids, api.ReplicaID(i+1))
	}
	return ids, slices.Index(ids, mine)
}

// opened puts a replica to work.
func (n *Node) opened(g *group, r *replica.Replica) {
	g.replica = r
	if g.id != api.MetaGroup {
		start, _ := g.bounds()
		r.DropBefore(start)
	}
	if g.campaigns > 0 {
		r.Campaign()
	}
	r.NeedPump()
	n.meta.moved = true
}

func (n *Node) replicaConfig(g *group, id api.ReplicaID) replica.Config {
	cfg := replica.Config{
		Group: g.id, ID: id, Folder: groupFolder(g.id),
		Host: n, Files: n.files, Journal: n.journal, Trace: n.trace,
		Nonce: n.nonce, CheckpointBytes: n.cfg.CheckpointBytes, CopyBytes: n.cfg.CopyBytes,
	}
	if g.id == api.MetaGroup {
		cfg.Machine = n.meta
	} else {
		cfg.Machine = shapeshifter{g}
	}
	return cfg
}

func groupFolder(id api.GroupID) string { return fmt.Sprintf("%s%d/", groupsFolder, id) }
