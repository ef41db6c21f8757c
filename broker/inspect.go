package broker

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	groups "github.com/reprise-mq/reprise/broker/group"
	"github.com/reprise-mq/reprise/broker/meta"
)

// GroupView is one replica laid open, for whoever checks it from outside.
type GroupView struct {
	Group   api.GroupID
	Replica api.ReplicaID
	Term    api.Term
	Leads   bool
	Commit  api.Index
	Applied api.Index
	// State is the saved state of the group's machine as of Applied.
	State []byte
	Conf  *raftpb.ConfState
	// Folder holds the live segments; "" in a joiner without a snapshot.
	Folder string
	// Copied of CopyBytes are there of a log that is being copied; 0 of 0 if none is.
	Copied, CopyBytes int64
}

// Inspect lays every replica open, ascending by group. It changes nothing.
func (n *Node) Inspect() []GroupView {
	var views []GroupView
	for _, g := range n.order {
		if g.replica == nil {
			continue
		}
		conf, _ := g.replica.Conf()
		status := g.replica.Status()
		view := GroupView{
			Group: g.id, Replica: g.replica.ID(), Term: status.Term, Leads: g.replica.Leads(),
			Commit: status.Commit, Applied: g.replica.Applied(), Conf: conf, Folder: g.replica.Folder(),
		}
		view.Copied, view.CopyBytes = g.replica.Copying()
		if g.id == api.MetaGroup {
			view.State = n.meta.Save()
		} else {
			view.State = shapeshifter{g}.Save()
		}
		views = append(views, view)
	}
	return views
}

// PartitionView is a partition's replica on this node, for whoever watches the node.
type PartitionView struct {
	Topic     string
	Partition api.Partition
	Leads     bool
	// Restoring: its log is damaged, and is being restored.
	Restoring        bool
	LogStart, LogEnd api.Offset
	// Unapplied counts the entries that are committed and not applied here. Behind, of a
	// leader, those that the slowest of its followers has not got.
	Unapplied, Behind uint64
}

// Partitions gives the partitions with a replica on this node, ascending by group. It
// changes nothing, and costs little.
func (n *Node) Partitions() []PartitionView {
	var views []PartitionView
	for _, g := range n.order {
		p := n.meta.state.PartitionOf(g.id)
		if p == nil || g.replica == nil && !g.restoring {
			continue
		}
		v := PartitionView{Topic: p.Topic.Name, Partition: p.Number, Restoring: g.restoring}
		if g.replica != nil {
			s := g.replica.Status()
			v.Leads, v.Unapplied = g.replica.Leads(), uint64(s.Commit-g.replica.Applied())
			v.LogStart, v.LogEnd = g.bounds()
			for _, follower := range s.Progress {
				v.Behind = max(v.Behind, uint64(s.Commit)-min(follower.Match, uint64(s.Commit)))
			}
		}
		views = append(views, v)
	}
	return views
}

// States of a consumer group.
const (
	GroupEmpty       = "empty"       // it has no members
	GroupStable      = "stable"      // every partition is where it is to be
	GroupRebalancing = "rebalancing" // some has yet to be given up, or granted
)

// ConsumerGroupView is a consumer group that this node coordinates, for whoever watches
// the node.
type ConsumerGroupView struct {
	Group      string
	State      string
	Members    int
	Generation uint64
	// Lag counts the records from what the group has committed to the end, as this node's
	// replicas know it. Unknown counts the partitions of which there is none here.
	Lag     uint64
	Unknown int
}

// ConsumerGroups gives the consumer groups that this node coordinates, by name within each
// shard. It changes nothing; what it costs grows with their offsets.
func (n *Node) ConsumerGroups() []ConsumerGroupView {
	var views []ConsumerGroupView
	for _, g := range n.order {
		if g.coordinator == nil || g.replica == nil || !g.replica.Serves() {
			continue
		}
		state := g.coordinator.state
		for _, s := range state.Groups() {
			v := ConsumerGroupView{Group: s.Name, State: GroupStable, Members: s.Members, Generation: uint64(s.Generation)}
			switch {
			case s.Members == 0:
				v.State = GroupEmpty
			case state.Rebalancing(s.Name):
				v.State = GroupRebalancing
			}
			for _, o := range state.Offsets(s.Name) {
				end, known := n.endOf(o.Partition)
				if !known {
					v.Unknown++
					continue
				}
				v.Lag += uint64(max(0, end-o.Offset))
			}
			views = append(views, v)
		}
	}
	return views
}

// endOf is the end of a partition's log as a replica on this node knows it.
func (n *Node) endOf(p groups.Partition) (api.Offset, bool) {
	t := n.meta.state.TopicByID(p.Topic)
	if t == nil || int(p.Number) >= len(t.Partitions) {
		return 0, false
	}
	g := n.groups[t.Partitions[p.Number].Group]
	if g == nil || g.replica == nil || g.partition == nil {
		return 0, false
	}
	return g.partition.state.End(), true
}

// Identity is the cluster and the node's id, "" and 0 while it has none.
func (n *Node) Identity() (cluster string, id api.NodeID) { return n.identity.cluster, n.identity.node }

// describe answers with every replica of this node as it sees it.
func (n *Node) describe(c caller) {
	out := &api.DescribeNodeResponse{
		NodeId: uint64(n.identity.node), ClusterId: n.identity.cluster, Version: n.cfg.Version,
	}
	for _, g := range n.order {
		if g.replica == nil {
			continue
		}
		s := g.replica.Status()
		conf, _ := g.replica.Conf()
		status := &api.GroupStatus{
			Group: uint64(g.id), Replica: uint64(g.replica.ID()), Role: s.Role, Term: uint64(s.Term),
			LeaderReplica: uint64(s.Leader), Commit: uint64(s.Commit), Applied: uint64(g.replica.Applied()),
			Voters: conf.GetVoters(), VotersOutgoing: conf.GetVotersOutgoing(), Learners: conf.GetLearners(),
			Progress: s.Progress,
		}
		if store := g.replica.Store(); store != nil {
			status.FirstIndex = uint64(store.First()) + 1
		}
		status.CopiedBytes, status.CopyBytes = g.replica.Copying()
		if g.id != api.MetaGroup {
			start, end := g.bounds()
			status.LogStart, status.LogEnd = int64(start), int64(end)
		}
		out.Groups = append(out.Groups, status)
	}
	n.reply(c, &api.Response{Body: &api.Response_DescribeNode{DescribeNode: out}})
}

// metadata answers with what the node knows of the cluster, or, where that is
// asked or a topic is not found, with what is known everywhere. A topic that is named
// several times is answered once.
func (n *Node) metadata(c caller, q *api.MetadataRequest) {
	if response := n.metadataNow(q); response.GetError() == nil && !q.GetLinearizable() {
		n.reply(c, n.fitting(response))
		return
	}
	n.meta.group.replica.Read(func(err error) {
		if err != nil {
			n.refuse(c, n.unread(api.MetaGroup, err))
			return
		}
		if n.lacksGroups(q) {
			n.makeGroups(c)
			return
		}
		n.reply(c, n.fitting(n.metadataNow(q)))
	})
}

func (n *Node) metadataNow(q *api.MetadataRequest) *api.Response {
	state := n.meta.state
	topics := state.Topics()
	if len(q.GetTopics()) > 0 {
		topics = nil
		named := make(map[api.TopicID]bool) // else a small request could ask for any amount
		for _, ref := range q.GetTopics() {
			t, e := state.ResolveTopic(ref)
			if e != nil {
				return &api.Response{Error: e}
			}
			if !named[t.ID] {
				named[t.ID] = true
				topics = append(topics, t)
			}
		}
	}
	out := &api.MetadataResponse{ClusterId: state.Cluster(), NodeId: uint64(n.identity.node)}
	if leader, ok := n.leaderOf(api.MetaGroup); ok {
		out.MetaLeader = uint64(leader)
	}
	for _, node := range state.Nodes() {
		out.Nodes = append(out.Nodes, &api.NodeInfo{Id: uint64(node.ID), Address: node.Address, MetaVoter: node.Voter, Removing: node.Removing})
	}
	for _, t := range topics {
		out.Topics = append(out.Topics, n.topicInfo(t))
	}
	return &api.Response{Body: &api.Response_Metadata{Metadata: out}}
}

func (n *Node) topicInfo(t *meta.Topic) *api.TopicInfo {
	segmentBytes, _ := n.meta.state.Config(t, meta.SegmentBytes)
	info := &api.TopicInfo{
		Name: t.Name, Id: uint64(t.ID), SegmentBytes: uint64(segmentBytes), Configs: n.meta.state.Configs(t),
	}
	for _, p := range t.Partitions {
		part := &api.PartitionInfo{Partition: int32(p.Number), Group: uint64(p.Group)}
		if leader, ok := n.leaderOf(p.Group); ok {
			part.Leader, part.LeaderTerm = uint64(leader), uint64(n.leaderTerm(p.Group))
		}
		for _, r := range p.Replicas {
			part.Replicas = append(part.Replicas, &api.ReplicaInfo{
				Node: uint64(r.Node), Replica: uint64(r.ID), Adding: r.Adding, Removing: r.Removing, Elected: r.Elected,
			})
		}
		info.Partitions = append(info.Partitions, part)
	}
	return info
}

// leaderTerm is the term in which leaderOf knows the leader.
func (n *Node) leaderTerm(id api.GroupID) api.Term {
	var term api.Term
	if hint := n.peers.hints[id]; hint != nil {
		term = api.Term(hint.GetTerm())
	}
	if g := n.groups[id]; g != nil && g.replica != nil && g.replica.Role().Leader != 0 {
		term = max(term, g.replica.Role().Term)
	}
	return term
}
