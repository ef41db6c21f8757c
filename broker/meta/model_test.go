package meta

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"pgregory.net/rapid"
)

// raftGroup is what raft does with a partition, as far as meta can tell: its
// configuration goes step by step to what meta wants, and reports of it arrive late,
// twice, in any order, or never.
type raftGroup struct {
	index            uint64
	voters, learners []uint64
	reports          []*api.Request
}

func (g *raftGroup) commit(id api.GroupID, voters, learners []uint64) {
	g.index++
	g.voters, g.learners = slices.Clone(voters), slices.Clone(learners)
	g.reports = append(g.reports, changed(id, g.index, g.voters, g.learners))
}

// cluster with its groups, and a replica of meta that starts again and again.
type clusterMachine struct {
	live, saved *State
	groups      map[api.GroupID]*raftGroup
	joined      int
	created     int
	// given holds every number given out, which no other may equal.
	given map[string]bool
	// renewed replicas may be in a configuration still, and nowhere else.
	renewed map[string]bool
}

func newClusterMachine(t *rapid.T) *clusterMachine {
	m := &clusterMachine{live: founded(t), saved: founded(t), joined: 1,
		groups: map[api.GroupID]*raftGroup{}, given: map[string]bool{"node 1": true}, renewed: map[string]bool{}}
	m.groups[api.MetaGroup] = &raftGroup{index: 1, voters: []uint64{1}}
	for range 4 {
		m.Join(t)
	}
	m.create(t, 1, 2)
	return m
}

func (m *clusterMachine) apply(t *rapid.T, request *api.Request) *api.Response {
	data := encode(t, 0, request)
	live, saved := m.live.Apply(data).Response, m.saved.Apply(data).Response
	if describe(live) != describe(saved) {
		t.Fatalf("%s, and after a restart %s", describe(live), describe(saved))
	}
	return live
}

// fresh notes numbers given out.
func (m *clusterMachine) fresh(t *rapid.T, format string, args ...any) {
	name := fmt.Sprintf(format, args...)
	if m.given[name] {
		t.Fatalf("%s was given out twice", name)
	}
	m.given[name] = true
}

func (m *clusterMachine) Join(t *rapid.T) {
	m.joined++
	r := m.apply(t, join(fmt.Sprint("token", m.joined), "host:1"))
	m.fresh(t, "node %d", r.GetJoin().GetNodeId())
}

func (m *clusterMachine) Create(t *rapid.T) {
	if m.created < 3 {
		m.create(t, rapid.Int32Range(1, 3).Draw(t, "partitions"), rapid.Int32Range(0, 4).Draw(t, "replicas"))
	}
}

func (m *clusterMachine) create(t *rapid.T, partitions, replicas int32) {
	m.created++
	name := fmt.Sprint("t", m.created)
	r := m.apply(t, createTopic(name, partitions, replicas))
	if r.Error != nil {
		return
	}
	m.fresh(t, "topic %d", r.GetCreateTopic().GetId())
	m.found(t, m.live.TopicByName(name).Partitions)
}

// found begins the groups of new partitions.
func (m *clusterMachine) found(t *rapid.T, partitions []*Partition) {
	for _, p := range partitions {
		m.fresh(t, "group %d", p.Group)
		g := &raftGroup{}
		m.groups[p.Group] = g
		for i, node := range p.Founders {
			if on, ok := p.ReplicaOn(node); !ok || on.ID != api.ReplicaID(i+1) {
				t.Fatalf("founder %d of %s is not on node %d: %v", i+1, p, node, p.Replicas)
			}
			g.voters = append(g.voters, uint64(i+1))
		}
		g.commit(p.Group, g.voters, nil)
	}
}

// AddPartitions asks for more partitions, or for as many as there are, or fewer.
func (m *clusterMachine) AddPartitions(t *rapid.T) {
	topic := m.partition(t).Topic
	had := slices.Clone(topic.Partitions)
	n := rapid.IntRange(1, 5).Draw(t, "partitions")
	r := m.apply(t, addPartitions(&api.TopicRef{Id: uint64(topic.ID)}, int32(n)))
	if more := n > len(had); more == (r.Error != nil) || !slices.Equal(topic.Partitions[:len(had)], had) {
		t.Fatalf("from %d partitions to %d: %v, and now %v", len(had), n, r.Error, topic.Partitions)
	}
	m.found(t, topic.Partitions[len(had):])
}

// Alter changes configs, and looks whether all others stayed.
func (m *clusterMachine) Alter(t *rapid.T) {
	topic := m.partition(t).Topic
	version, want := topic.ConfigVersion, topic.configs
	q := &api.AlterTopicRequest{Topic: &api.TopicRef{Id: uint64(topic.ID)}}
	valid := true
	for c := range configCount {
		value := rapid.SampledFrom([]int64{math.MinInt64, NoLimit, 0, 1, 1024, 4096, 8 << 20, math.MaxInt64}).Draw(t, "value")
		switch rapid.SampledFrom([]string{"leave", "leave", "set", "unset"}).Draw(t, "what") {
		case "set":
			q.Set = append(q.Set, config(kinds[c].name, fmt.Sprint(value)))
			want.set[c], want.values[c] = true, value
			valid = valid && validConfig(c, value)
		case "unset":
			q.Unset = append(q.Unset, kinds[c].name)
			want.set[c], want.values[c] = false, 0
		}
	}
	request := &api.Request{Body: &api.Request_AlterTopic{AlterTopic: q}}
	if _, err := Encode(Tag{}, 0, request); err != nil {
		if valid && len(q.Set)+len(q.Unset) > 0 || m.live.ValidateAlter(q) == nil {
			t.Fatalf("%v is refused: %v", q, err)
		}
		return
	}
	r := m.apply(t, request)
	if !valid || r.Error != nil || topic.configs != want || topic.ConfigVersion != version+1 {
		t.Fatalf("%v: %v, and then %v of version %d", q, r.Error, topic.configs, topic.ConfigVersion)
	}
}

func (m *clusterMachine) Delete(t *rapid.T) {
	if p := m.partition(t); rapid.IntRange(0, 9).Draw(t, "luck") == 0 {
		m.apply(t, &api.Request{Body: &api.Request_DeleteTopic{DeleteTopic: &api.DeleteTopicRequest{
			Topic: &api.TopicRef{Id: uint64(p.Topic.ID)}}}})
		if m.live.PartitionOf(p.Group) != nil || m.live.TopicByName(p.Topic.Name) != nil {
			t.Fatalf("%s can still be found", p)
		}
	}
}

func (m *clusterMachine) Move(t *rapid.T) {
	p := m.partition(t)
	last, wanted := p.lastReplica, len(p.Wanted())
	from, to := m.node(t, "from"), m.node(t, "to")
	if rapid.IntRange(0, 3).Draw(t, "sense") > 0 {
		from = rapid.SampledFrom(append(slices.Clone(p.Replicas), Replica{})).Draw(t, "replica").Node
		if from != 0 && rapid.Bool().Draw(t, "only remove") {
			to = 0
		}
	}
	if from == 0 && to == 0 {
		t.Skip("no move")
	}
	old, _ := p.ReplicaOn(from)
	r := m.apply(t, move(p.Topic.Name, int32(p.Number), from, to))
	if r.Error == nil && from == to {
		m.renewed[fmt.Sprintf("%d/%d", p.Group, old.ID)] = true
		if wanted < minRenewable {
			t.Fatalf("one of %d replicas of %s is renewed", wanted, p)
		}
	}
	if r.Error == nil && to != 0 {
		wanted++
	}
	if r.Error == nil && from != 0 {
		wanted--
	}
	if len(p.Wanted()) != wanted {
		t.Fatalf("%s moves from %d to %d, and then wants %v", p, from, to, p.Replicas)
	}
	if on, ok := p.ReplicaOn(to); r.Error == nil && to != 0 && (!ok || on.ID <= last || !on.Adding) {
		t.Fatalf("%s was to go to node %d: %v", p, to, p.Replicas)
	}
}

func (m *clusterMachine) Remove(t *rapid.T) { m.apply(t, removeNode(uint64(m.node(t, "node")))) }

func (m *clusterMachine) Elect(t *rapid.T) {
	p, node := m.partition(t), m.node(t, "node")
	r := m.apply(t, &api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{
		Topic: &api.TopicRef{Id: uint64(p.Topic.ID)}, Partition: int32(p.Number), Node: uint64(node)}}})
	if r.Error == nil && node != 0 && p.Replicas[0].Node != node {
		t.Fatalf("node %d was elected: %v", node, p.Replicas)
	}
}

// Step lets raft take one step towards what meta wants: a learner, or the end.
func (m *clusterMachine) Step(t *rapid.T) {
	id, g := m.group(t)
	voters, learners := m.wanted(id)
	i := slices.IndexFunc(voters, func(v uint64) bool {
		return !slices.Contains(g.voters, v) && !slices.Contains(g.learners, v)
	})
	switch {
	case i >= 0:
		g.commit(id, g.voters, append(slices.Clone(g.learners), voters[i]))
	case rapid.Bool().Draw(t, "leave learners behind"):
		g.commit(id, voters, slices.DeleteFunc(slices.Clone(g.learners), func(l uint64) bool {
			return slices.Contains(voters, l)
		}))
	default:
		g.commit(id, voters, learners)
	}
}

// Report lets a report arrive.
func (m *clusterMachine) Report(t *rapid.T) {
	id, g := m.group(t)
	if len(g.reports) == 0 {
		t.Skip("no report")
	}
	i := len(g.reports) - 1
	if id != api.MetaGroup { // whose reports stand in the log of what they report
		i = rapid.IntRange(0, i).Draw(t, "report")
	}
	m.apply(t, g.reports[i])
}

func (m *clusterMachine) Restart(t *rapid.T) { m.saved = restarted(t, m.saved) }

// Check holds that whoever is in a group's configuration is known to meta, for what
// meta does not know, a node destroys.
func (m *clusterMachine) Check(t *rapid.T) {
	if live, saved := m.live.Save(), m.saved.Save(); !bytes.Equal(live, saved) {
		t.Fatalf("after a restart the state is\n%x, not\n%x", saved, live)
	}
	for _, n := range m.groups[api.MetaGroup].voters {
		if m.live.Node(api.NodeID(n)) == nil {
			t.Fatalf("node %d has a vote, and is not there", n)
		}
	}
	for _, topic := range m.live.Topics() {
		for _, p := range topic.Partitions {
			m.checkPartition(t, p)
		}
	}
	voters, learners := m.live.MetaConfig()
	if len(voters)%2 != 1 || len(voters) > MaxMetaVoters || len(voters) < MaxMetaVoters && len(learners) > 1 {
		t.Fatalf("meta wants voters %v learners %v", voters, learners)
	}
}

func (m *clusterMachine) checkPartition(t *rapid.T, p *Partition) {
	g := m.groups[p.Group]
	for _, id := range append(slices.Clone(g.voters), g.learners...) {
		node := p.NodeOf(api.ReplicaID(id))
		if m.renewed[fmt.Sprintf("%d/%d", p.Group, id)] {
			continue
		}
		if node == 0 || !slices.Contains(m.live.ReplicasOn(node), p) {
			t.Fatalf("replica %d of %s is in the configuration %v %v, and not in %v", id, p, g.voters, g.learners, p.Replicas)
		}
	}
	seen := map[api.NodeID]bool{}
	for _, r := range p.Replicas {
		if seen[r.Node] || m.live.Node(r.Node) == nil {
			t.Fatalf("%s stands twice on a node, or on none: %v", p, p.Replicas)
		}
		seen[r.Node] = true
		if complete := slices.Contains(g.voters, uint64(r.ID)); !complete && !r.Adding && !r.Removing {
			t.Fatalf("replica %d of %s is complete, and no voter: %v", r.ID, p, g.voters)
		}
	}
	if m.live.PartitionOf(p.Group) != p || len(p.Wanted()) == 0 {
		t.Fatalf("%s cannot be found, or wants nobody: %v", p, p.Replicas)
	}
}

func (m *clusterMachine) wanted(id api.GroupID) (voters, learners []uint64) {
	v, l := m.live.MetaConfig()
	if id != api.MetaGroup {
		v, l = m.live.PartitionOf(id).Wanted(), nil
	}
	for _, id := range v {
		voters = append(voters, uint64(id))
	}
	for _, id := range l {
		learners = append(learners, uint64(id))
	}
	return voters, learners
}

func (m *clusterMachine) partition(t *rapid.T) *Partition {
	var all []*Partition
	for _, topic := range m.live.Topics() {
		all = append(all, topic.Partitions...)
	}
	if len(all) == 0 {
		t.Skip("no partition")
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(t, "partition")]
}

func (m *clusterMachine) group(t *rapid.T) (api.GroupID, *raftGroup) {
	id := api.MetaGroup
	if len(m.live.Topics()) > 0 && rapid.IntRange(0, 3).Draw(t, "meta") > 0 {
		id = m.partition(t).Group
	}
	return id, m.groups[id]
}

// node draws a node, or 0.
func (m *clusterMachine) node(t *rapid.T, label string) api.NodeID {
	i := rapid.IntRange(0, len(m.live.Nodes())).Draw(t, label)
	if i == 0 {
		return 0
	}
	return m.live.Nodes()[i-1].ID
}

func TestMembershipAgainstRaft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		t.Repeat(rapid.StateMachineActions(newClusterMachine(t)))
	})
}

// TestMovesAgainstRaft dwells on the moves of one partition.
func TestMovesAgainstRaft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newClusterMachine(t)
		const rounds = 10 // each about thirty actions
		for range rounds {
			t.Repeat(map[string]func(*rapid.T){
				"move":         m.Move,
				"step":         m.Step,
				"another step": m.Step,
				"report":       m.Report,
				"":             m.Check,
			})
		}
	})
}

// TestPlacementIsEven makes topics on a cluster without load.
func TestPlacementIsEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := cluster(t, rapid.IntRange(1, 9).Draw(t, "nodes"))
		for i := range rapid.IntRange(1, 4).Draw(t, "topics") {
			replicas := rapid.IntRange(1, min(MaxReplicas, len(s.Nodes()))).Draw(t, "replicas")
			do(t, s, createTopic(fmt.Sprint("t", i), rapid.Int32Range(1, 20).Draw(t, "partitions"), int32(replicas)))
		}
		replicas, leaders := map[api.NodeID]int{}, map[api.NodeID]int{}
		for _, n := range s.Nodes() {
			for _, p := range s.ReplicasOn(n.ID) {
				replicas[n.ID]++
				if p.Replicas[0].Node == n.ID {
					leaders[n.ID]++
				}
			}
		}
		least, most := len(s.byGroup), 0
		for _, n := range s.Nodes() {
			least, most = min(least, replicas[n.ID]), max(most, replicas[n.ID])
		}
		if most-least > 1 {
			t.Fatalf("replicas are uneven: %v, leaders %v", replicas, leaders)
		}
	})
}

// When the epochs of an id run out, there is a new one.
func TestEpochsRunOut(t *testing.T) {
	s := founded(t)
	do(t, s, initProducer(0, 0))
	for epoch := range int32(math.MaxInt16) {
		if r := do(t, s, initProducer(1, epoch)).GetInitProducer(); r.ProducerId != 1 || r.Epoch != epoch+1 {
			t.Fatalf("after epoch %d: %v", epoch, r)
		}
	}
	if r := do(t, s, initProducer(1, math.MaxInt16)).GetInitProducer(); r.ProducerId != 2 || r.Epoch != 0 {
		t.Fatalf("after the last epoch: %v", r)
	}
}

// TestProducersAreUnique takes every number that was ever given out for an owner of
// its own, and has some ask for the next epoch days later.
func TestProducersAreUnique(t *testing.T) {
	type pair struct {
		id    int64
		epoch int32
	}
	rapid.Check(t, func(t *rapid.T) {
		s, now, current := founded(t), api.Milliseconds(0), map[int64]int32{}
		given := []pair{{}}
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			for range rapid.SampledFrom([]int{0, 0, 0, 0, 1500}).Draw(t, "minutes") {
				now += 60_000
				s.Apply(encode(t, now, removeNode(99)))
			}
			ask := given[rapid.IntRange(0, len(given)-1).Draw(t, "who")]
			r := s.Apply(encode(t, now, initProducer(ask.id, ask.epoch))).Response
			if rapid.Bool().Draw(t, "restart") {
				s = restarted(t, s)
			}
			if r.Error != nil {
				if r.Error.Code != api.Code_PRODUCER_FENCED || current[ask.id] == ask.epoch {
					t.Fatalf("%v of %v: %v", ask, current, r.Error)
				}
				continue
			}
			got := pair{r.GetInitProducer().GetProducerId(), r.GetInitProducer().GetEpoch()}
			if slices.Contains(given, got) || ask.id != 0 && (got.id != ask.id || got.epoch <= current[ask.id]) {
				t.Fatalf("%v asked and got %v; given before: %v", ask, got, given)
			}
			given = append(given, got)
			current[got.id] = got.epoch
		}
	})
}
