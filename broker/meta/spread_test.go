package meta

import (
	"fmt"
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
// soon, and then no two nodes that share a partition differ by more than one. A node that
// is not suitable gets nothing.
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
		}
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
			if r := apply(elect(p.Topic.Name, int32(p.Number), to)); r.Error != nil {
				t.Fatal(r.Error)
			}
		}
		after := leads(s)
		if after[ill] > before {
			t.Fatalf("node %d is not suitable, and leads %d instead of %d", ill, after[ill], before)
		}
		for _, topic := range s.Topics() {
			for _, p := range topic.Partitions {
				for _, r := range p.Replicas {
					if first := p.Replicas[0].Node; r.Node != ill && after[first] > after[r.Node]+1 {
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
			apply(elect("t", int32(p.Number), 1))
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

func elect(topic string, partition int32, node api.NodeID) *api.Request {
	return &api.Request{Body: &api.Request_ElectLeader{ElectLeader: &api.ElectLeaderRequest{
		Topic: &api.TopicRef{Name: topic}, Partition: partition, Node: uint64(node)}}}
}
