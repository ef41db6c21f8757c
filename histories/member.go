package histories

import (
	"cmp"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// Member records what one member of a consumer group does: which partitions it begins to
// read, what it is handed and when it is done with it, and how it stops. Each time that it
// owns a partition is a process of the history. It has no lock, as its Recorder has none.
type Member struct {
	// ID is by which the coordinator knows the member now.
	ID uint64

	recorder *Recorder
	group    string
	spells   map[place]*Spell
}

type place struct {
	topic     string
	partition api.Partition
}

// Spell is a time in which a member reads a partition.
type Spell struct {
	process Process
	member  uint64
	place   place
	// next is one past what was handed out, done one past what was worked on.
	next, done api.Offset
}

// NewMember records a member of a group that owns nothing yet.
func NewMember(r *Recorder, group string) *Member {
	return &Member{recorder: r, group: group, spells: make(map[place]*Spell)}
}

// Assigned records that the member begins to read a partition at an offset; committed:
// because the group had committed that.
func (m *Member) Assigned(at Time, topic string, partition api.Partition, offset api.Offset, committed bool) {
	here := place{topic, partition}
	m.spells[here] = &Spell{process: m.recorder.NewProcess(), member: m.ID, place: here, next: offset, done: offset}
	m.recorder.Note(at, Note{
		Op: Assigned, Group: m.group, Member: m.ID, Topic: topic, Partition: partition, Offset: offset, Committed: committed,
	})
}

// Reads is the time in which the member reads a partition now; nil if it does not.
func (m *Member) Reads(topic string, partition api.Partition) *Spell {
	return m.spells[place{topic, partition}]
}

// Processed records that the member is done with all that it was handed.
func (m *Member) Processed(at Time) {
	inOrder := func(a, b place) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	}
	for _, p := range slices.SortedFunc(maps.Keys(m.spells), inOrder) {
		if s := m.spells[p]; s.done < s.next {
			s.done = s.next
			m.recorder.Note(at, Note{
				Op: Processed, Group: m.group, Member: s.member, Topic: s.place.topic, Partition: s.place.partition, Offset: s.done,
			})
		}
	}
}

// Ended records that a time has ended, unless that is known: op is Revoked, or Lost.
func (m *Member) Ended(at Time, op Op, s *Spell) {
	if s == nil || m.spells[s.place] != s {
		return
	}
	delete(m.spells, s.place)
	m.recorder.Note(at, Note{Op: op, Group: m.group, Member: s.member, Topic: s.place.topic, Partition: s.place.partition})
}

// Handed records that the member was handed records of a partition, at least one.
func (m *Member) Handed(at Time, topic string, partition api.Partition, records []Record) {
	s := m.Reads(topic, partition)
	if s == nil {
		// The checker is to see it: a member is handed what it does not read.
		s = &Spell{process: m.recorder.NewProcess(), member: m.ID}
	}
	first := records[0].Offset
	if first != s.next {
		// What stood between has been deleted, or the reader skips: a process goes on
		// only where it stood, and the checker knows what was handed to nobody.
		s.process = m.recorder.NewProcess()
	}
	m.recorder.Invoke(at, s.process, Call{
		Op: Fetch, Topic: topic, Partition: partition, Offset: first, Continue: first == s.next, Group: m.group, Member: s.member,
	})
	m.recorder.Ok(at, s.process, Answer{Records: records, HighWatermark: NoOffset, LogStart: NoOffset})
	s.next = records[len(records)-1].Offset + 1
}
