package group

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/idle"
)

const (
	// stateMark begins every saved state; that of a partition begins with its version,
	// which will never come so far. So a replica that is found again, or copied, says
	// itself which machine it runs.
	stateMark    = 'G'
	stateVersion = 3
)

// ErrState: bytes are no saved state of this version. The log that they stand in is
// damaged, or of a newer release.
var ErrState = errors.New("not a state of a group coordinator")

// IsState reports whether a saved state is a coordinator's, sound or not, and not a
// partition's.
func IsState(data []byte) bool { return len(data) > 0 && data[0] == stateMark }

// Save encodes the state. Equal states give equal bytes.
func (s *State) Save() []byte {
	b := []byte{stateMark, stateVersion}
	b = codec.AppendUvarint(b, s.segmentBytes)
	b = codec.AppendUvarint(b, uint64(s.commands))
	b = codec.AppendUvarint(b, uint64(s.start))
	b = codec.AppendUvarint(b, uint64(s.half))
	b = codec.AppendUvarint(b, uint64(s.tail))
	b = s.clock.Append(b)
	b = codec.AppendUvarint(b, uint64(s.lastMember))
	b = codec.AppendUvarint(b, uint64(len(s.groups)))
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		b = s.groups[name].append(codec.AppendBytes(b, name))
	}
	return b
}

func (g *group) append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(g.generation))
	b = codec.AppendBool(b, g.due)
	b = codec.AppendUvarint(b, uint64(g.emptied))
	b = codec.AppendUvarint(b, uint64(g.catalogue))
	b = appendTopics(b, g.topics)
	targets := make(map[*member][]Partition)
	for _, p := range slices.SortedFunc(maps.Keys(g.targets), comparePartitions) {
		targets[g.targets[p]] = append(targets[g.targets[p]], p)
	}
	b = codec.AppendUvarint(b, uint64(len(g.members)))
	for _, m := range g.ordered() {
		b = appendPartitions(m.append(b), targets[m])
	}
	b = codec.AppendUvarint(b, uint64(len(g.owners)))
	for _, p := range slices.SortedFunc(maps.Keys(g.owners), comparePartitions) {
		b = appendPartition(b, p)
		b = codec.AppendUvarint(b, uint64(g.owners[p].member))
		b = codec.AppendUvarint(b, uint64(g.owners[p].since))
		b = codec.AppendUvarint(b, uint64(g.owners[p].kept))
	}
	return appendOffsets(b, g.committed())
}

func (m *member) append(b []byte) []byte {
	b = codec.AppendUvarint(b, uint64(m.id))
	b = codec.AppendBytes(b, m.token)
	b = codec.AppendBytes(b, m.instance)
	b = codec.AppendUvarint(b, uint64(m.session))
	b = codec.AppendUvarint(b, uint64(m.rebalance))
	b = append(b, byte(m.assignor))
	b = appendNames(b, m.topics)
	b = codec.AppendUvarint(b, uint64(m.epoch))
	b = codec.AppendUvarint(b, m.beats)
	return codec.AppendUvarint(b, m.sequence)
}

// Restore replaces the state with a saved one. On ErrState nothing has changed.
func (s *State) Restore(data []byte) error {
	r := codec.NewReader(data)
	if r.Byte() != stateMark || r.Byte() != stateVersion {
		return ErrState
	}
	in := New(r.Uvarint())
	in.commands, in.start = int64(r.Uvarint()), int64(r.Uvarint())
	in.half, in.tail = int64(r.Uvarint()), int64(r.Uvarint())
	clock, ok := idle.ReadClock(r)
	in.clock, in.lastMember = clock, MemberID(r.Uvarint())
	if !ok || in.start < 0 || in.half < in.start || in.commands < in.half || in.tail < 0 || in.tail >= keptBytes/2 {
		return ErrState
	}
	for range r.Count(1) {
		name := r.String()
		g, ok := readGroup(r)
		if !ok || !validName(name) || len(in.groups) >= MaxGroups || !in.holds(g) {
			return ErrState
		}
		in.groups[name] = g
		in.count(name, true)
	}
	// What is out of order, twice there, or written longer than need be is not what Save
	// makes of what it says.
	if r.Close() != nil || !bytes.Equal(in.Save(), data) {
		return ErrState
	}
	*s = *in
	return nil
}

func readGroup(r *codec.Reader) (*group, bool) {
	g := newGroup()
	g.generation, g.due, g.emptied = Generation(r.Uvarint()), r.Bool(), api.Milliseconds(r.Uvarint())
	g.catalogue, g.topics = api.Index(r.Uvarint()), readTopics(r)
	for range r.Count(11) {
		m, topics := readMember(r)
		g.members[m.id] = m
		g.want(m, topics)
		for _, p := range readPartitions(r) {
			g.targets[p] = m
		}
	}
	for range r.Count(5) {
		p := readPartition(r)
		id, since, kept := MemberID(r.Uvarint()), Epoch(r.Uvarint()), Epoch(r.Uvarint())
		if g.members[id] == nil {
			return g, false
		}
		g.own(p, g.members[id], since, kept)
	}
	for _, o := range readOffsets(r) {
		g.setOffset(o)
	}
	return g, r.Err() == nil && validTopics(g.topics)
}

// readMember reads a member, and the topics that it wants.
func readMember(r *codec.Reader) (*member, []string) {
	m := &member{id: MemberID(r.Uvarint()), token: r.String(), instance: r.String(), owned: map[Partition]bool{}}
	m.session, m.rebalance = api.Milliseconds(r.Uvarint()), api.Milliseconds(r.Uvarint())
	m.assignor = Assignor(r.Byte())
	topics := readNames(r)
	m.epoch, m.beats, m.sequence = Epoch(r.Uvarint()), r.Uvarint(), r.Uvarint()
	return m, topics
}

// holds reports whether a group is one that commands can have made.
func (s *State) holds(g *group) bool {
	if g.emptied < 0 || g.emptied > s.clock.Elapsed() || len(g.members) > MaxMembers ||
		len(g.offsets) > MaxOffsets || len(g.wants) > MaxTopics {
		return false
	}
	for _, m := range g.ordered() {
		if m.id == 0 || m.id > s.lastMember || !m.sound() {
			return false
		}
	}
	//detvet:allow maporder whether all are sound does not depend on the order
	for _, o := range g.owners {
		if o.since > o.kept || o.kept > g.members[o.member].epoch {
			return false
		}
	}
	//detvet:allow maporder whether all are sound does not depend on the order
	for _, o := range g.offsets {
		if o.Offset < 0 || len(o.Metadata) > MaxMetadata {
			return false
		}
	}
	return true
}

func (m *member) sound() bool {
	within := func(t api.Milliseconds) bool { return t >= MinSession && t <= MaxSession }
	return within(m.session) && within(m.rebalance) && m.assignor < assignors && m.epoch > 0 && m.beats > 0 &&
		len(m.token) <= MaxToken && len(m.instance) <= MaxName && !slices.ContainsFunc(m.topics, wrongName) &&
		slices.IsSorted(m.topics) && len(slices.Compact(slices.Clone(m.topics))) == len(m.topics)
}
