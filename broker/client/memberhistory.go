package client

import (
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/histories"
)

// memberHistory records what a member of a consumer group sees. A nil one records nothing.
type memberHistory struct {
	history *History
	group   string
	record  *histories.Member
}

func (h *History) member(group string) *memberHistory {
	if h == nil {
		return nil
	}
	return &memberHistory{history: h, group: group, record: histories.NewMember(h.recorder, group)}
}

// as has the recorder to itself, and calls it for the member as it is known now.
func (m *memberHistory) as(member uint64, note func(*histories.Member, histories.Time)) {
	if m == nil {
		return
	}
	m.history.mu.Lock()
	defer m.history.mu.Unlock()
	m.record.ID = member
	note(m.record, m.history.now())
}

func (m *memberHistory) assigned(member uint64, list []core.AssignedPartition) {
	m.as(member, func(r *histories.Member, now histories.Time) {
		for _, p := range list {
			r.Assigned(now, p.Topic, p.Partition, p.Offset, p.Committed)
		}
	})
}

// ending gives what notes that partitions, as they are read now, were given up or lost.
func (m *memberHistory) ending(op histories.Op, list []core.TopicPartition) func() {
	var spells []*histories.Spell
	m.as(0, func(r *histories.Member, _ histories.Time) {
		for _, p := range list {
			spells = append(spells, r.Reads(p.Topic, p.Partition))
		}
	})
	return func() {
		m.as(0, func(r *histories.Member, now histories.Time) {
			for _, s := range spells {
				r.Ended(now, op, s)
			}
		})
	}
}

func (m *memberHistory) handed(member uint64, records []core.ConsumedRecord) {
	m.as(member, func(r *histories.Member, now histories.Time) {
		for _, p := range core.ByPartition(records) {
			r.Handed(now, p.Topic, p.Partition, parsed(p.Records))
		}
	})
}

// processed records that all that was handed out is processed.
func (m *memberHistory) processed(member uint64) {
	m.as(member, func(r *histories.Member, now histories.Time) { r.Processed(now) })
}

// committing records that a commit is sent, and gives what records its result.
func (m *memberHistory) committing(member uint64, list []core.CommitPosition) func(core.Result) {
	if m == nil {
		return func(core.Result) {}
	}
	e := m.history.invoke(request{call: func() histories.Call {
		call := histories.Call{Op: histories.Commit, Group: m.group, Member: member}
		for _, p := range list {
			call.Offsets = append(call.Offsets, histories.GroupOffset{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset})
		}
		return call
	}})
	return e.end
}
