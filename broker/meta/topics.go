package meta

import (
	"cmp"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// Topic is one incarnation of a topic.
type Topic struct {
	ID   api.TopicID
	Name string
	// SegmentBytes is the size at which the segments of its partitions are rolled to
	// begin with. It never changes: founders of a partition that are late have to
	// begin as the others did.
	SegmentBytes uint64
	// ConfigVersion counts the changes of the configs, so that a partition's leader
	// that hears late of one does not take it for the latest. It is 0 where a partition
	// need not be told of any, for it begins with what it is to have.
	ConfigVersion uint64
	configs       configs
	// Partitions by number.
	Partitions []*Partition
}

// Partition is one partition of a topic, and its raft group.
type Partition struct {
	Topic  *Topic
	Number api.Partition
	Group  api.GroupID
	// Founders is the first replica list, which never changes: replica i+1 on
	// Founders[i]. These replicas, and no others, begin with the first frame; each
	// later one begins with a snapshot. The nodes may be gone since.
	Founders []api.NodeID
	// Replicas are at most one a node; the first is the preferred leader.
	Replicas []Replica
	// lastReplica is the last raft id given out in the group.
	lastReplica api.ReplicaID
	// changed is the index of the latest configuration of the group known.
	changed api.Index
}

// Replica is one incarnation of a replica of a partition.
type Replica struct {
	Node api.NodeID
	ID   api.ReplicaID
	// Adding: wanted, and not known to be a voter yet.
	Adding bool
	// Removing: no longer wanted, and not known to be out of the configuration yet.
	// Both are set on a replica that was given up before it was complete.
	Removing bool
	// Elected: preferred as the leader because somebody asked for it, so it stays first
	// until another is elected. Only the first replica is.
	Elected bool
}

// defaultReplicas is the replication factor where there are nodes enough.
const defaultReplicas = 3

func (s *State) createTopic(r *api.CreateTopicRequest, silent []api.NodeID) *api.Response {
	if t := s.byName[r.Name]; t != nil {
		return refuse(api.Code_TOPIC_ALREADY_EXISTS, "topic %s exists already, with %d partitions", quote(r.Name), len(t.Partitions))
	}
	if have := len(s.byGroup); have+int(r.Partitions) > MaxPartitions {
		return refuse(api.Code_INVALID_PARTITIONS,
			"%d partitions are too many: the cluster has %d of at most %d", r.Partitions, have, MaxPartitions)
	}
	loads := s.loads(silent)
	replicas := int(r.ReplicationFactor)
	if replicas == 0 {
		replicas = min(defaultReplicas, len(loads))
	}
	if replicas < 1 || replicas > len(loads) {
		return refuse(api.Code_INVALID_REPLICATION_FACTOR,
			"%d replicas need as many nodes, and there are %d; ask for fewer, or join more nodes", replicas, len(loads))
	}
	t := s.addTopic(r, loads, replicas)
	return &api.Response{Body: &api.Response_CreateTopic{CreateTopic: &api.CreateTopicResponse{Id: uint64(t.ID)}}}
}

func (s *State) addTopic(r *api.CreateTopicRequest, loads []load, replicas int) *Topic {
	s.lastTopic++
	t := &Topic{ID: s.lastTopic, Name: r.Name}
	t.configs.put(r.Configs)
	if r.SegmentBytes != 0 {
		t.configs.set[SegmentBytes], t.configs.values[SegmentBytes] = true, int64(r.SegmentBytes)
	}
	segmentBytes, _ := s.Config(t, SegmentBytes)
	t.SegmentBytes = uint64(segmentBytes)
	if t.configs.set[RetentionBytes] || t.configs.set[RetentionTime] {
		t.ConfigVersion = 1
	}
	s.addPartitionsTo(t, loads, int(r.Partitions), replicas)
	s.topics = append(s.topics, t)
	s.index(t)
	return t
}

// addPartitionsTo gives a topic partitions up to a number.
func (s *State) addPartitionsTo(t *Topic, loads []load, partitions, replicas int) {
	for number := len(t.Partitions); number < partitions; number++ {
		s.lastGroup++
		p := &Partition{Topic: t, Number: api.Partition(number), Group: s.lastGroup, Founders: place(loads, replicas)}
		for _, node := range p.Founders {
			p.lastReplica++
			p.Replicas = append(p.Replicas, Replica{Node: node, ID: p.lastReplica})
		}
		t.Partitions = append(t.Partitions, p)
	}
}

// addPartitions gives a topic more partitions, with as many replicas as are wanted of
// its first, or as there are nodes by now. Those that it has stay as they are.
func (s *State) addPartitions(r *api.AddPartitionsRequest, silent []api.NodeID) *api.Response {
	t, err := s.ResolveTopic(r.Topic)
	if err != nil {
		return &api.Response{Error: err}
	}
	if err := keepsGroups(t); err != nil {
		return &api.Response{Error: err}
	}
	have, all := len(t.Partitions), len(s.byGroup)
	switch more := int(r.Partitions) - have; {
	case more <= 0:
		return refuse(api.Code_INVALID_PARTITIONS,
			"topic %s has %d partitions, and %d were asked for; there can only be more", quote(t.Name), have, r.Partitions)
	case all+more > MaxPartitions:
		return refuse(api.Code_INVALID_PARTITIONS,
			"%d more partitions are too many: the cluster has %d of at most %d", more, all, MaxPartitions)
	}
	loads := s.loads(silent)
	if len(loads) == 0 {
		return refuse(api.Code_INVALID_REPLICATION_FACTOR, "there is no node for a replica; join one")
	}
	s.addPartitionsTo(t, loads, int(r.Partitions), min(len(t.Partitions[0].wanted()), len(loads)))
	s.index(t)
	return &api.Response{Body: &api.Response_AddPartitions{AddPartitions: &api.AddPartitionsResponse{}}}
}

// index makes a topic findable.
func (s *State) index(t *Topic) {
	s.topicChanges++
	s.byName[t.Name] = t
	for _, p := range t.Partitions {
		s.byGroup[p.Group] = p
	}
}

func (s *State) deleteTopic(r *api.DeleteTopicRequest) *api.Response {
	t, err := s.ResolveTopic(r.Topic)
	if err != nil {
		return &api.Response{Error: err}
	}
	if err := keepsGroups(t); err != nil {
		return &api.Response{Error: err}
	}
	s.topicChanges++
	delete(s.byName, t.Name)
	for _, p := range t.Partitions {
		delete(s.byGroup, p.Group)
	}
	s.topics = slices.DeleteFunc(s.topics, func(other *Topic) bool { return other == t })
	return &api.Response{Body: &api.Response_DeleteTopic{DeleteTopic: &api.DeleteTopicResponse{}}}
}

// keepsGroups refuses to change the topic of the consumer groups: which partition a group
// is in follows from how many there are, and what is in them is not records.
func keepsGroups(t *Topic) *api.Error {
	if t.Name != api.GroupsTopic {
		return nil
	}
	return api.Errorf(api.Code_INVALID_REQUEST,
		"topic %s holds the consumer groups: it cannot be deleted, altered or given partitions; see group list", t.Name)
}

// load is what a node has to carry.
type load struct {
	node api.NodeID
	// silent: the leader has not heard of it for a while.
	silent bool
	// replicas that are wanted on the node, and how many of them are preferred
	// leaders.
	replicas, leaders int
}

// loads gives the load of every node that stays, ascending by id; some are silent.
func (s *State) loads(silent []api.NodeID) []load {
	var loads []load
	at := make(map[api.NodeID]int)
	for _, n := range s.live() {
		at[n.ID] = len(loads)
		loads = append(loads, load{node: n.ID, silent: slices.Contains(silent, n.ID)})
	}
	for _, t := range s.topics {
		for _, p := range t.Partitions {
			for i, replica := range p.wanted() {
				l, ok := at[replica.Node]
				if !ok {
					continue
				}
				loads[l].replicas++
				if i == 0 {
					loads[l].leaders++
				}
			}
		}
	}
	return loads
}

// place chooses the n nodes with the fewest replicas, and puts in front the one of
// them with the fewest preferred leaders; silent ones come after all others, and ties go
// to the lowest id. It adds what it placed to the loads.
func place(loads []load, n int) []api.NodeID {
	chosen := make([]*load, 0, n)
	for range n {
		var best *load
		for i := range loads {
			l := &loads[i]
			if (best == nil || l.before(best, l.replicas, best.replicas)) && !slices.Contains(chosen, l) {
				best = l
			}
		}
		chosen = append(chosen, best)
	}
	leader := 0
	for i, l := range chosen {
		if first := chosen[leader]; l.before(first, l.leaders, first.leaders) {
			leader = i
		}
	}
	moveToFront(chosen, leader)
	chosen[0].leaders++
	nodes := make([]api.NodeID, 0, n)
	for _, l := range chosen {
		l.replicas++
		nodes = append(nodes, l.node)
	}
	return nodes
}

// before reports whether a node comes before another one, when they carry so many.
func (l *load) before(other *load, mine, theirs int) bool {
	if l.silent != other.silent {
		return other.silent
	}
	return cmp.Or(cmp.Compare(mine, theirs), cmp.Compare(l.node, other.node)) < 0
}

// moveToFront moves element i to the front; the others keep their order.
func moveToFront[T any](list []T, i int) {
	first := list[i]
	copy(list[1:i+1], list[:i])
	list[0] = first
}
