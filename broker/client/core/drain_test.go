package core_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
)

// described is a cluster of nodes 1 to n, with partitions on the nodes that are named: a
// replica with + is being added, one with - removed.
func described(n uint64, partitions ...string) *api.MetadataResponse {
	m := &api.MetadataResponse{Topics: []*api.TopicInfo{{Name: "t"}}}
	for id := range n {
		m.Nodes = append(m.Nodes, &api.NodeInfo{Id: id + 1})
	}
	for i, nodes := range partitions {
		p := &api.PartitionInfo{Partition: int32(i)}
		for _, name := range strings.Fields(nodes) {
			p.Replicas = append(p.Replicas, &api.ReplicaInfo{
				Node: uint64(name[len(name)-1] - '0'), Adding: name[0] == '+', Removing: name[0] == '-',
			})
		}
		m.Topics[0].Partitions = append(m.Topics[0].Partitions, p)
	}
	return m
}

// Replicas go to nodes that have none of the partition, and spread over them.
func TestPlanDrain(t *testing.T) {
	four := described(4, "1 2 3", "1 2 3", "2 3 4", "1 3 4")
	for _, test := range []struct {
		name string
		m    *api.MetadataResponse
		node uint64
		to   []uint64
		want []uint64 // heirs
		says string   // the error
	}{
		{"all to the one without", four, 1, nil, []uint64{4, 4, 2}, ""},
		{"nothing held", described(4, "2 3 4"), 1, nil, nil, ""},
		{"spread", described(5, "1 2 3", "1 2 3"), 1, nil, []uint64{4, 5}, ""},
		{"only some may", described(5, "1 2 3", "1 2 3"), 1, []uint64{5}, []uint64{5, 5}, ""},
		{"the fewest first", described(5, "1 2 3", "2 3 4", "2 3 4"), 1, nil, []uint64{5}, ""},
		{"what is being changed waits", described(4, "1 2 3 +4", "-1 2 3 4", "1 2 3"), 1, nil, []uint64{4}, ""},
		{"what is on its way in goes elsewhere", described(5, "-1 +2 3 4"), 2, nil, []uint64{5}, ""},
		{"what is on its way out has gone", described(5, "-1 +2 3 4"), 1, nil, nil, ""},
		{"nobody left", described(3, "1 2 3", "1 2"), 1, nil, nil, "t/0; let another node join"},
		{"no such node", four, 9, nil, nil, "no such node"},
		{"to itself", four, 1, []uint64{1}, nil, "no other node"},
		{"to nobody", four, 1, []uint64{7}, nil, "no other node"},
	} {
		moves, err := core.PlanDrain(test.m, test.node, test.to)
		var heirs []uint64
		for _, m := range moves {
			heirs = append(heirs, m.To)
			if m.From != test.node || m.Topic != "t" {
				t.Errorf("%s: %+v", test.name, m)
			}
		}
		said := err != nil && test.says != "" && strings.Contains(err.Error(), test.says)
		if !slices.Equal(heirs, test.want) || said != (test.says != "") || err != nil && test.says == "" {
			t.Errorf("%s: to %v, want %v; error %v, want %q", test.name, heirs, test.want, err, test.says)
		}
	}
}

// What a drain waits for has a name.
func TestMoving(t *testing.T) {
	m := described(4, "-1 +2 3 4", "1 2 3", "-1 2 3", "-1 -+2 3 +4")
	m.Topics[0].Partitions[3].Replicas[1] = &api.ReplicaInfo{Node: 2, Adding: true, Removing: true}
	if got, want := core.Moving(m, 1), " (t/0 to node 2, t/2, t/3 to node 4)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := core.Moving(m, 3); got != "" {
		t.Errorf("%q of a node that gives nothing up", got)
	}
}
