package main

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
)

// What makes no sense is refused before anybody is asked.
func TestGroupFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"group reset g", "needs one of"},
		{"group reset g --to-latest --to-earliest", "give one"},
		{"group reset g --to-offset -1", "negative"},
		{"group reset g --to-time soon", "--to-time"},
		{"group reset --to-latest", "name of a group"},
		{"group describe", "name of a group"},
		{"consume --group g", "--topic"},
		{"consume --group g --topic t --partition 1", "--partition"},
		{"consume --group g --topic t --from 5", "earliest or latest"},
	} {
		root := newRoot()
		root.SetArgs(append(strings.Fields(c.args), "--bootstrap", "127.0.0.1:1"))
		root.SetOut(&bytes.Buffer{})
		root.SetErr(&bytes.Buffer{})
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("reprise %s: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestGroupTable(t *testing.T) {
	p := func(topic uint64, n int32) *api.GroupPartition {
		return &api.GroupPartition{TopicId: topic, Partition: n}
	}
	d := &api.DescribeGroupResponse{
		Offsets: []*api.GroupOffset{{Partition: p(2, 1), Offset: 7}, {Partition: p(9, 0), Offset: 1}},
		Members: []*api.GroupMember{{Member: 4, Keeps: []*api.GroupPartition{p(2, 0)}, Gives: []*api.GroupPartition{p(2, 1)}}},
	}
	names := map[uint64]string{2: "orders"}
	v := groupView{
		Group: "g", Generation: 3, Assignor: assignorName(api.Assignor_ROUND_ROBIN), Partitions: viewOffsets(d, names),
		Members: []groupMemberView{{Member: 4, Epoch: 2, Partitions: partitionList(d.Members[0].Keeps, names)}},
	}
	var out bytes.Buffer
	if err := v.table(&out); err != nil {
		t.Fatal(err)
	}
	want := `group g, generation 3, round-robin, 1 members
MEMBER  INSTANCE  CLIENT  EPOCH  PARTITIONS
4       -         -       2      orders/0
TOPIC              PARTITION  OFFSET  END  LAG  MEMBER
(deleted topic 9)  0          1       ?    ?    none
orders             0          ?       ?    ?    4
orders             1          7       ?    ?    4
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestShifted(t *testing.T) {
	for _, c := range []struct{ from, by, want int64 }{
		{5, 3, 8}, {5, -3, 2}, {5, -9, -4}, {5, math.MaxInt64, math.MaxInt64}, {math.MaxInt64, 1, math.MaxInt64},
		{0, math.MaxInt64, math.MaxInt64}, {0, math.MinInt64, math.MinInt64},
	} {
		if got := shifted(c.from, c.by); got != c.want {
			t.Errorf("offset %d shifted by %d is %d, want %d", c.from, c.by, got, c.want)
		}
	}
}
