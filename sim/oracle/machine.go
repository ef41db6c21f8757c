package oracle

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/confchange"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	groups "github.com/reprise-mq/reprise/broker/group"
	"github.com/reprise-mq/reprise/broker/meta"
	"github.com/reprise-mq/reprise/broker/partition"
	"github.com/reprise-mq/reprise/broker/segment"
)

// machine is the reference: the group's state machine, applied to the log once.
type machine struct {
	// One of the three, once the group has begun.
	meta      *meta.State
	partition *partition.State
	groups    *groups.State

	firstState string
	firstConf  *raftpb.ConfState
}

func (m *machine) isNew() bool { return m.meta == nil && m.partition == nil && m.groups == nil }

// begin takes the first state frame.
func (m *machine) begin(id api.GroupID, f *segment.Frame) error {
	st, err := decodeState(f.Data)
	if err != nil {
		return err
	}
	m.firstConf, m.firstState = st.conf, fingerprint(st.machine)
	if id == api.MetaGroup {
		s := meta.New()
		if err := s.Restore(st.machine); err != nil {
			return err
		}
		m.meta = s
		return nil
	}
	if groups.IsState(st.machine) {
		s := groups.New(0)
		if err := s.Restore(st.machine); err != nil {
			return err
		}
		m.groups = s
		return nil
	}
	s := partition.New(0)
	if err := s.Restore(st.machine); err != nil {
		return err
	}
	m.partition = s
	return nil
}

// apply gives the number of records that an entry appended.
func (m *machine) apply(data []byte) int32 {
	switch {
	case m.meta != nil:
		m.meta.Apply(data)
		return 0
	case m.groups != nil:
		return m.groups.Apply(data).Count
	}
	return m.partition.Apply(data).Count
}

// bounds are the lowest offset that has to be kept, and that of the next record.
func (m *machine) bounds() (start, next api.Offset) {
	switch {
	case m.partition != nil:
		return m.partition.LogStart(), m.partition.End()
	case m.groups != nil:
		return m.groups.LogStart(), m.groups.End()
	}
	return 0, 0
}

func (m *machine) save() []byte {
	switch {
	case m.meta != nil:
		return m.meta.Save()
	case m.groups != nil:
		return m.groups.Save()
	}
	return m.partition.Save()
}

// state is what a state frame holds; see package segment.
type state struct {
	// starts are the steps of index and term from one term's begin to the next.
	starts  [][2]uint64
	conf    *raftpb.ConfState
	machine []byte
}

// decodeState reads the data of a state frame, in its own way.
func decodeState(data []byte) (state, error) {
	r := codec.NewReader(data)
	var starts [][2]uint64
	for range r.Count(2) {
		starts = append(starts, [2]uint64{r.Uvarint(), r.Uvarint()})
	}
	c := &raftpb.ConfState{}
	for _, ids := range []*[]uint64{&c.Voters, &c.Learners, &c.VotersOutgoing, &c.LearnersNext} {
		last := uint64(0)
		for range r.Count(1) {
			last += r.Uvarint()
			*ids = append(*ids, last)
		}
	}
	c.AutoLeave = new(r.Bool())
	st := state{starts: starts, conf: c, machine: r.Bytes()}
	if r.Close() != nil {
		return state{}, fmt.Errorf("not a state of %d bytes", len(data))
	}
	return st, nil
}

// changed gives the configuration that an entry makes of another.
func changed(before *raftpb.ConfState, f *segment.Frame) (*raftpb.ConfState, error) {
	var change raftpb.ConfChangeI
	if f.Type == raftpb.EntryConfChange {
		c := &raftpb.ConfChange{}
		if proto.Unmarshal(f.Data, c) != nil {
			return nil, fmt.Errorf("%d bytes are no change", len(f.Data))
		}
		change = c
	} else {
		c := &raftpb.ConfChangeV2{}
		if proto.Unmarshal(f.Data, c) != nil {
			return nil, fmt.Errorf("%d bytes are no change", len(f.Data))
		}
		change = c
	}
	t := tracker.MakeProgressTracker(1, 0)
	config, progress, err := confchange.Restore(confchange.Changer{Tracker: t, LastIndex: uint64(f.Index)}, before)
	if err != nil {
		return nil, err
	}
	t.Config, t.Progress = config, progress
	changer := confchange.Changer{Tracker: t, LastIndex: uint64(f.Index)}
	v2 := change.AsV2()
	if v2.LeaveJoint() {
		config, _, err = changer.LeaveJoint()
	} else if auto, joint := v2.EnterJoint(); joint {
		config, _, err = changer.EnterJoint(auto, v2.Changes...)
	} else {
		config, _, err = changer.Simple(v2.Changes...)
	}
	if err != nil {
		return nil, err
	}
	t.Config = config
	return t.ConfState(), nil
}

// sameConf compares two configurations.
func sameConf(a, b *raftpb.ConfState) bool { return confText(a) == confText(b) }

// confText writes a configuration for people.
func confText(c *raftpb.ConfState) string {
	return fmt.Sprintf("voters %v, outgoing %v, learners %v, next learners %v",
		sorted(c.GetVoters()), sorted(c.GetVotersOutgoing()), sorted(c.GetLearners()), sorted(c.GetLearnersNext()))
}

func sorted(ids []uint64) []uint64 { return slices.Sorted(slices.Values(ids)) }
