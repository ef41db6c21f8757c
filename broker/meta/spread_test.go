package meta

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"pgregory.net/rapid"
)

// leads counts the partitions that each node is preferred for.
func leads(s *State) map[api.NodeID]int {
	n := make(map[api.NodeID]int)
	for _, t := range s.Topics() {
		for _, p := range t.Partitions {
			n[p.Replicas[0].Node]++
		}
	}
	return n
}

// However preferred leaders were chosen, evening them out one by one comes to an end,
// soon, and then no two nodes that share a partition which nobody was elected for differ by
// more than one. A node that is not suitable gets nothing, and an elected leader stays.
func TestUnevenComesToAnEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := founded(t)
		nodes := rapid.IntRange(2, 6).Draw(t, "nodes")
		apply := func(q *api.Request) *api.Response { return s.Apply(encode(t, 0, q)).Response }
		for n := 2; n <= nodes; n++ {
			apply(join(fmt.Sprint("token", n), "host:1"))
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "topics") {
			apply(createTopic(fmt.Sprint("t", i), rapid.Int32Range(1, 8).Draw(t, "partitions"), int32(min(nodes, 3))))
		}
		for range rapid.IntRange(0, 30).Draw(t, "elections") {
			topic := rapid.SampledFrom(s.Topics()).Draw(t, "topic")
			p := rapid.SampledFrom(topic.Partitions).Draw(t, "partition")
			apply(elect(topic.Name, int32(p.Number), rapid.SampledFrom(p.Replicas).Draw(t, "replica").Node))
			if rapid.IntRange(0, 2).Draw(t, "stays") > 0 {
				apply(elect(topic.Name, int32(p.Number), 0))
			}
		}
		elected := electedLeaders(s)
		ill := api.NodeID(rapid.IntRange(0, nodes).Draw(t, "ill"))
		well := func(n *Node) bool { return n.ID != ill }
		before, total := leads(s)[ill], 0
		for _, topic := range s.Topics() {
			total += len(topic.Partitions)
		}
		for steps := 0; ; steps++ {
			p, to := s.Uneven(well)
			if p == nil {
				break
			}
			if steps > total {
				t.Fatalf("%d steps for %d partitions: %v", steps, total, leads(s))
			}
			if r := apply(spread(p.Topic.Name, int32(p.Number), to)); r.Error != nil {
				t.Fatal(r.Error)
			}
		}
		if now := electedLeaders(s); !maps.Equal(now, elected) {
			t.Fatalf("elected were %v, and now %v", elected, now)
		}
		after := leads(s)
		if after[ill] > before {
			t.Fatalf("node %d is not suitable, and leads %d instead of %d", ill, after[ill], before)
		}
		for _, topic := range s.Topics() {
			for _, p := range topic.Partitions {
				for _, r := range p.Replicas {
					if first := p.Replicas[0].Node; !p.Replicas[0].Elected && r.Node != ill && after[first] > after[r.Node]+1 {
						t.Fatalf("%v is led by node %d: %v", p, first, after)
					}
				}
			}
		}
		if ill == 0 && s.CanSpread() {
			t.Fatal("there is something to spread yet")
		}
	})
}

// A partition whose replicas are changing is left alone.
func TestUnevenLeavesChangesAlone(t *testing.T) {
	s := founded(t)
	apply := func(q *api.Request) { s.Apply(encode(t, 0, q)) }
	apply(join("two", "host:1"))
	apply(join("three", "host:1"))
	apply(createTopic("t", 4, 2))
	for _, p := range s.TopicByName("t").Partitions {
		if i := slices.IndexFunc(p.Replicas, func(r Replica) bool { return r.Node == 1 }); i >= 0 {
			apply(spread("t", int32(p.Number), 1))
		}
	}
	p, _ := s.Uneven(func(*Node) bool { return true })
	if p == nil {
		t.Fatalf("nothing is uneven: %v", leads(s))
	}
	for _, p := range s.TopicByName("t").Partitions {
		for _, to := range s.Nodes() {
			apply(move("t", int32(p.Number), p.Replicas[0].Node, to.ID))
		}
	}
	if p, to := s.Uneven(func(*Node) bool { return true }); p != nil {
		t.Errorf("%v is to be led by node %d, and its replicas are %+v", p, to, p.Replicas)
	}
}

// An election that comes between what is uneven and the step that would even it out stands;
// an incarnation of the same node keeps it, and another node, or nobody, ends it.
func TestElectionStands(t *testing.T) {
	s := founded(t)
	apply := func(q *api.Request) *api.Response { return s.Apply(encode(t, 0, q)).Response }
	apply(join("two", "host:1"))
	apply(join("three", "host:1"))
	apply(createTopic("t", 1, 3))
	replicas := func() []Replica { return s.TopicByName("t").Partitions[0].Replicas }
	want := func(what string, node api.NodeID, elected bool) {
		t.Helper()
		for i, r := range replicas() {
			if r.Elected != (i == 0 && elected) || i == 0 && r.Node != node {
				t.Errorf("%s: %+v, want node %d first, elected %v", what, replicas(), node, elected)
			}
		}
	}
	apply(elect("t", 0, 2))
	want("elected", 2, true)
	if r := apply(spread("t", 0, 3)); r.Error.GetCode() != api.Code_INVALID_REQUEST {
		t.Errorf("the leader is spread: %v", r)
	}
	want("elected before it is spread", 2, true)
	apply(move("t", 0, 2, 2))
	want("renewed", 2, true)
	apply(elect("t", 0, 3))
	want("another", 3, true)
	apply(elect("t", 0, 0))
	want("nobody", 3, false)
	apply(spread("t", 0, 1))
	want("spread", 1, false)
	again := New()
	apply(elect("t", 0, 3))
	if err := again.Restore(s.Save()); err != nil {
		t.Fatal(err)
	}
	if !again.TopicByName("t").Partitions[0].Replicas[0].Elected {
		t.Error("the saved state does not know who was elected")
	}
}

// electedLeaders gives the nodes that were elected, by group.
func electedLeaders(s *State) map[api.GroupID]api.NodeID {
	elected := make(map[api.GroupID]api.NodeID)
	for _, t := range s.Topics() {
		for _, p := range t.Partitions {
			if p.Replicas[0].Elected {
				elected[p.Group] = p.Replicas[0].Node
			}
		}
	}
	return elected
}

func spread(topic string, partition int32, node api.NodeID) *api.Request {
	q := elect(topic, partition, node)
	q.GetElectLeader().Spread = true
	return q
}

func elect(topic string, partition int32, node api.NodeID) *api.Request {
	return &api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{
		Topic: &api.TopicRef{Name: topic}, Partition: partition, Node: uint64(node)}}}
}
