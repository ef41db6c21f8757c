package meta

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
)

// Cluster is the cluster's id, "" while nothing is known.
func (s *State) Cluster() string { return s.cluster }

// SegmentBytes is the size at which segments are rolled where no topic says
// otherwise, as in the meta group.
func (s *State) SegmentBytes() uint64 { return s.segmentBytes }

// LastGroup is the newest group number given out: a group up to it that no topic has
// is gone for good.
func (s *State) LastGroup() api.GroupID { return s.lastGroup }

// LastTopic is the newest topic number given out: a topic up to it that is not there is
// gone for good.
func (s *State) LastTopic() api.TopicID { return s.lastTopic }

// PreferredMeta is the node that was elected to lead the meta group, 0 for any.
func (s *State) PreferredMeta() api.NodeID { return s.preferred }

// Nodes gives the nodes, ascending by id.
func (s *State) Nodes() []*Node { return s.nodes }

// Node gives a node, or nil.
func (s *State) Node(id api.NodeID) *Node {
	i, ok := slices.BinarySearchFunc(s.nodes, id, func(n *Node, id api.NodeID) int { return cmp.Compare(n.ID, id) })
	if !ok {
		return nil
	}
	return s.nodes[i]
}

// NodeByToken gives the node that joined with a token, or nil.
func (s *State) NodeByToken(token []byte) *Node {
	i := slices.IndexFunc(s.nodes, func(n *Node) bool { return n.token == string(token) })
	if i < 0 {
		return nil
	}
	return s.nodes[i]
}

// TopicChanges is another number, and a higher one, whenever a topic has come or gone, or
// has more partitions. It is no part of the state: each life of a node counts for itself.
func (s *State) TopicChanges() uint64 { return s.topicChanges }

// Topics gives the topics, ascending by id.
func (s *State) Topics() []*Topic { return s.topics }

// TopicByName gives the topic that has the name now, or nil.
func (s *State) TopicByName(name string) *Topic { return s.byName[name] }

// TopicByID gives one incarnation of a topic, or nil.
func (s *State) TopicByID(id api.TopicID) *Topic {
	i, ok := slices.BinarySearchFunc(s.topics, id, func(t *Topic, id api.TopicID) int { return cmp.Compare(t.ID, id) })
	if !ok {
		return nil
	}
	return s.topics[i]
}

// ResolveTopic gives the topic that a reference means. Where it has both a name and
// an id, both must fit.
func (s *State) ResolveTopic(ref *api.TopicRef) (*Topic, *api.Error) {
	var t *Topic
	if ref.GetId() != 0 {
		t = s.TopicByID(api.TopicID(ref.GetId()))
	} else {
		t = s.TopicByName(ref.GetName())
	}
	if t == nil || ref.GetName() != "" && ref.GetName() != t.Name {
		return nil, unknownTopic(ref)
	}
	return t, nil
}

// Resolve gives the partition that a request means.
func (s *State) Resolve(ref *api.TopicRef, partition int32) (*Partition, *api.Error) {
	t, err := s.ResolveTopic(ref)
	if err != nil {
		return nil, err
	}
	if partition < 0 || int(partition) >= len(t.Partitions) {
		return nil, api.Errorf(api.Code_UNKNOWN_TOPIC_OR_PARTITION,
			"topic %s has no partition %d; it has 0 to %d", quote(t.Name), partition, len(t.Partitions)-1)
	}
	return t.Partitions[partition], nil
}

// PartitionOf gives the partition whose group it is, or nil.
func (s *State) PartitionOf(group api.GroupID) *Partition { return s.byGroup[group] }

// ReplicasOn gives the partitions that have a replica on a node, of whatever state,
// ascending by group.
func (s *State) ReplicasOn(node api.NodeID) []*Partition {
	var on []*Partition
	for _, t := range s.topics {
		for _, p := range t.Partitions {
			if p.position(node) >= 0 {
				on = append(on, p)
			}
		}
	}
	// Partitions that a topic was given later have groups above those of later topics.
	slices.SortFunc(on, func(a, b *Partition) int { return cmp.Compare(a.Group, b.Group) })
	return on
}

// ReplicaOn gives the replica that a node holds.
func (p *Partition) ReplicaOn(node api.NodeID) (Replica, bool) {
	i := p.position(node)
	if i < 0 {
		return Replica{}, false
	}
	return p.Replicas[i], true
}

// NodeOf gives the node that holds a replica, 0 if none does.
func (p *Partition) NodeOf(replica api.ReplicaID) api.NodeID {
	i := slices.IndexFunc(p.Replicas, func(r Replica) bool { return r.ID == replica })
	if i < 0 {
		return 0
	}
	return p.Replicas[i].Node
}

// Wanted gives the voters that the group is to have in the end, ascending, and at
// least one; it is to have no learner.
func (p *Partition) Wanted() []api.ReplicaID {
	var ids []api.ReplicaID
	for _, r := range p.wanted() {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	return ids
}

// LastReplica is the newest replica number given out in the group: one up to it that
// is not listed is gone for good.
func (p *Partition) LastReplica() api.ReplicaID { return p.lastReplica }

// Changing reports whether the wanted replicas are not yet, or not yet alone, the
// voters of the group.
func (p *Partition) Changing() bool {
	return slices.ContainsFunc(p.Replicas, func(r Replica) bool { return r.Adding || r.Removing })
}

// String is the partition as people name it.
func (p *Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic.Name, p.Number) }

func (p *Partition) position(node api.NodeID) int {
	return slices.IndexFunc(p.Replicas, func(r Replica) bool { return r.Node == node })
}

// isMeta reports whether a reference is empty, which means the meta group.
func isMeta(ref *api.TopicRef) bool { return ref.GetName() == "" && ref.GetId() == 0 }

func unknownNode(id uint64) *api.Error {
	return api.Errorf(api.Code_UNKNOWN_NODE, "there is no node %d, or no longer; see cluster status", id)
}

func unknownTopic(ref *api.TopicRef) *api.Error {
	what := quote(ref.GetName())
	if ref.GetId() != 0 {
		what += fmt.Sprintf(" with the id %d", ref.GetId())
	}
	return api.Errorf(api.Code_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic %s, or no longer; see topic list", what)
}

// quote makes a name from outside fit for a message.
func quote(name string) string {
	const enough = 64
	if len(name) > enough {
		return strconv.QuoteToASCII(name[:enough]) + "..."
	}
	return strconv.QuoteToASCII(name)
}

// names gives a few of many partitions.
func names(partitions []*Partition) string {
	const enough = 5
	var b strings.Builder
	for i, p := range partitions[:min(enough, len(partitions))] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.String())
	}
	if len(partitions) > enough {
		fmt.Fprintf(&b, " and %d more", len(partitions)-enough)
	}
	return b.String()
}
