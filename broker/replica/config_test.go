package replica

import (
	"slices"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
)

// What recovery makes of configuration changes is what raft made of them when they
// were applied.
func TestChangedIsWhatRaftDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		conf := &raftpb.ConfState{Voters: []uint64{1, 2, 3}}
		storage := raft.NewMemoryStorage()
		err := storage.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
			Index: new(uint64(1)), Term: new(uint64(1)), ConfState: conf,
		}})
		if err != nil {
			t.Fatal(err)
		}
		node, err := raft.NewRawNode(&raft.Config{
			ID: 1, ElectionTick: 10, HeartbeatTick: 1, Storage: storage, Applied: 1,
			MaxInflightMsgs: 1, Logger: logger{},
		})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			change := drawChange(t, conf)
			got, err := changed(conf, change)
			if err != nil {
				continue // raft would refuse it when it is proposed
			}
			conf = node.ApplyConfChange(change)
			if !proto.Equal(sorted(got), sorted(conf)) {
				t.Fatalf("after %v: %v, raft has %v", change, got, conf)
			}
		}
	})
}

// drawChange draws a change that fits a configuration: out of a joint one only the
// way to leave it.
func drawChange(t *rapid.T, conf *raftpb.ConfState) *raftpb.ConfChangeV2 {
	if len(conf.GetVotersOutgoing()) > 0 {
		return &raftpb.ConfChangeV2{}
	}
	kinds := []raftpb.ConfChangeType{raftpb.ConfChangeAddNode, raftpb.ConfChangeAddLearnerNode, raftpb.ConfChangeRemoveNode}
	change := &raftpb.ConfChangeV2{Transition: raftpb.ConfChangeTransitionAuto.Enum()}
	for range rapid.IntRange(1, 3).Draw(t, "parts") {
		id := api.ReplicaID(rapid.Uint64Range(1, 6).Draw(t, "id"))
		change.Changes = append(change.Changes, single(rapid.SampledFrom(kinds).Draw(t, "kind"), id)...)
	}
	return change
}

func sorted(conf *raftpb.ConfState) *raftpb.ConfState {
	c := proto.Clone(conf).(*raftpb.ConfState)
	for _, list := range [][]uint64{c.Voters, c.Learners, c.VotersOutgoing, c.LearnersNext} {
		slices.Sort(list)
	}
	c.AutoLeave = new(c.GetAutoLeave())
	return c
}

func TestLimit(t *testing.T) {
	var entries []*raftpb.Entry
	for i := range uint64(5) {
		entries = append(entries, &raftpb.Entry{Index: new(10 + i), Term: new(uint64(1)), Data: make([]byte, 100)})
	}
	size := uint64(proto.Size(entries[0]))
	for _, test := range []struct {
		hi, bytes uint64
		want      int
	}{
		{15, 1 << 20, 5}, {12, 1 << 20, 2}, {15, 2 * size, 2}, {15, 2*size - 1, 1}, {15, 0, 1},
	} {
		got := limit(entries, test.hi, test.bytes)
		if len(got) != test.want {
			t.Errorf("below %d, %d bytes: %d entries, want %d", test.hi, test.bytes, len(got), test.want)
		}
		_ = append(got, nil)
		if entries[4] == nil {
			t.Fatal("appending to the answer changes the log")
		}
	}
}
