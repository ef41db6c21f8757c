package segment

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/sim/prng"
)

// log is the slow obvious model: every entry of the group, of which the first
// stands at index 2. It is also the journal: whatever a store has lost can be
// appended again.
type log struct {
	entries []Frame
	// roll is the size of a segment.
	roll uint64
}

func (l *log) last() api.Index { return api.Index(len(l.entries)) + 1 }

func (l *log) entry(i api.Index) *Frame { return &l.entries[i-2] }

func (l *log) term(i api.Index) api.Term {
	if i == 1 {
		return 1
	}
	return l.entry(i).Term
}

func (l *log) next(i api.Index) api.Offset {
	if i == 1 {
		return 0
	}
	return l.entry(i).next()
}

// state makes up what the entries up to one amount to.
func (l *log) state(i api.Index) State {
	rng := prng.New(uint64(i))
	machine := make([]byte, rng.Below(400))
	rng.Read(machine)
	conf := &raftpb.ConfState{Voters: []uint64{1, 2, 3 + uint64(i)}, AutoLeave: new(i%2 == 0)}
	if i%3 == 0 {
		conf.Learners, conf.VotersOutgoing, conf.LearnersNext = []uint64{9}, []uint64{1, 2}, []uint64{2}
	}
	return State{Index: i, Term: l.term(i), Next: l.next(i), Conf: conf, Machine: machine}
}

// holder gives the entry that holds an offset.
func (l *log) holder(o api.Offset) api.Index {
	return 2 + api.Index(slices.IndexFunc(l.entries, func(fr Frame) bool { return fr.next() > o }))
}

// feed appends what a store lacks, and rolls where each replica must.
func (l *log) feed(s *Store, upTo api.Index) {
	for {
		if s.Full(l.roll) {
			s.Roll(l.state(s.Last()))
		}
		if s.Last() >= upTo {
			return
		}
		s.Append(*l.entry(s.Last() + 1))
	}
}

func newLog(segmentBytes uint64) *log { return &log{roll: segmentBytes} }

// create starts a store of the log.
func (l *log) create(d *disk) *Store { return Create(d.log(), l.state(1)) }

// grow adds entries of all kinds.
func (l *log) grow(t *rapid.T, n, maxData int) {
	rng := prng.New(rapid.Uint64().Draw(t, "entries"))
	for range n {
		i := l.last() + 1
		fr := Frame{Kind: KindEntry, Index: i, Term: l.term(i - 1), Base: l.next(i - 1)}
		if rng.Chance(1, 10) {
			fr.Term += api.Term(rng.Between(1, 3))
		}
		if size := rng.Below(int64(maxData)); size > 0 && !rng.Chance(1, 10) {
			fr.Data = make([]byte, size)
			rng.Read(fr.Data)
		}
		switch rng.Below(8) {
		case 0:
		case 1:
			fr.Type = raftpb.EntryConfChangeV2
		default:
			fr.Kind, fr.Count = KindRecords, int32(rng.Between(1, 5))
		}
		l.entries = append(l.entries, fr)
	}
}

// machine runs a store on a disk that crashes.
type machine struct {
	log *log
	// good is a store of the same entries on a disk where nothing ever happens.
	good     *Store
	goodDisk *disk
	disk     *disk
	store    *Store
	// marked is the journal's checkpoint.
	marked  Position
	maxData int
}

func newMachine(t *rapid.T) *machine {
	small := rapid.Bool().Draw(t, "small")
	m := &machine{log: newLog(2_000), maxData: 300, disk: newDisk(rapid.Uint64().Draw(t, "disk")), goodDisk: newDisk(1)}
	if !small { // segments longer than one load, frames longer than one chunk
		m.log.roll, m.maxData = 150_000, 20_000
	}
	m.good = m.log.create(m.goodDisk)
	m.store = m.log.create(m.disk)
	m.checkpoint(t, true)
	return m
}

// checkpoint makes one that nothing disturbs; meanwhile happens while it is under
// way.
func (m *machine) checkpoint(t *rapid.T, mark bool, meanwhile ...func(*rapid.T)) {
	failure := errors.New("no answer")
	var at Position
	m.store.Checkpoint(func(p Position, err error) { at, failure = p, err })
	last := m.store.Last()
	for _, act := range meanwhile {
		act(t)
	}
	m.disk.run()
	if failure != nil {
		t.Fatalf("checkpoint: %v", failure)
	}
	if at.Index != last {
		t.Fatalf("checkpoint at %v, last %d", at, last)
	}
	if mark {
		m.marked = at
	}
}

// reopen recovers and appends what was lost.
func (m *machine) reopen(t *rapid.T) {
	s, tail, err := open(m.disk, m.marked)
	if err != nil {
		t.Fatalf("open at %v: %v", m.marked, err)
	}
	if s.Last() < m.marked.Index || s.Last() > m.log.last() {
		t.Fatalf("opened at %v up to %d of %d", m.marked, s.Last(), m.log.last())
	}
	m.sameState(t, tail.State)
	for k, fr := range tail.Frames {
		m.same(t, fr, tail.State.Index+1+api.Index(k))
	}
	if tail.State.Index+api.Index(len(tail.Frames)) != s.Last() {
		t.Fatalf("state at %d, %d frames, last %d", tail.State.Index, len(tail.Frames), s.Last())
	}
	m.store = s
	m.log.feed(s, m.log.last())
}

func (m *machine) sameState(t *rapid.T, got State) {
	want := m.log.state(got.Index)
	if got.Term != want.Term || got.Next != want.Next || !bytes.Equal(got.Machine, want.Machine) || !proto.Equal(got.Conf, want.Conf) {
		t.Fatalf("state %+v, want %+v", got, want)
	}
}

func (m *machine) same(t *rapid.T, got Frame, i api.Index) {
	want := m.log.entry(i)
	if got.Kind != want.Kind || got.Type != want.Type || got.Index != i || got.Term != want.Term ||
		got.Base != want.Base || got.Count != want.Count || !bytes.Equal(got.Data, want.Data) {
		t.Fatalf("at index %d: frame of kind %d, index %d, term %d, base %d, count %d, %d bytes", i, got.Kind, got.Index, got.Term, got.Base, got.Count, len(got.Data))
	}
}

func (m *machine) Append(t *rapid.T) {
	m.log.grow(t, rapid.IntRange(1, 30).Draw(t, "n"), m.maxData)
	m.log.feed(m.store, m.log.last())
}

func (m *machine) Checkpoint(t *rapid.T) {
	if mark := rapid.Bool().Draw(t, "mark"); rapid.Bool().Draw(t, "calm") {
		m.checkpoint(t, mark)
	} else {
		m.checkpoint(t, mark, m.Append)
	}
}

// CheckpointCut crashes while one is under way, with more entries behind it.
func (m *machine) CheckpointCut(t *rapid.T) {
	m.store.Checkpoint(func(at Position, err error) {
		if err != nil {
			t.Fatal(err)
		}
		m.marked = at
	})
	m.Append(t)
	for range rapid.IntRange(0, len(m.disk.answers)).Draw(t, "answers") {
		m.disk.step()
	}
	m.disk.crash()
	m.reopen(t)
}

// CheckpointFails loses what the sync covered, though loads still show it.
func (m *machine) CheckpointFails(t *rapid.T) {
	m.Append(t)
	m.disk.failSync = m.store.active().name
	for range 2 {
		m.store.Checkpoint(func(_ Position, err error) {
			if err == nil {
				t.Fatal("checkpoint after a failed sync")
			}
		})
		m.disk.run()
	}
	m.disk.restart()
	m.reopen(t)
	m.checkpoint(t, true)
	m.disk.crash()
	m.reopen(t)
}

func (m *machine) Crash(t *rapid.T) {
	m.disk.crash()
	m.reopen(t)
}

func (m *machine) Restart(t *rapid.T) {
	m.disk.restart()
	m.reopen(t)
}

// cold empties the cache, so that reads go to the disk.
func (m *machine) cold(t *rapid.T) {
	if rapid.Bool().Draw(t, "cold") {
		m.store.tail = tail{}
	}
}

// read starts a read by offset; the check runs when its answer comes.
func (m *machine) read(t *rapid.T, mayBeGone bool) {
	s := m.store
	if s.Start() == s.Next() {
		return
	}
	from := api.Offset(rapid.Int64Range(int64(s.Start()), int64(s.Next())-1).Draw(t, "from"))
	limit := rapid.IntRange(0, 300_000).Draw(t, "max")
	s.Read(from, limit, func(got []Frame, err error) {
		if mayBeGone && errors.Is(err, ErrGone) {
			return
		}
		if err != nil || len(got) == 0 {
			t.Fatalf("read from %d: %d frames, %v", from, len(got), err)
		}
		size := 0
		for _, fr := range got {
			m.same(t, fr, m.log.holder(from))
			from = fr.next()
			size += fr.bytes()
		}
		if len(got) > 1 && size > limit {
			t.Fatalf("%d bytes read, asked for %d", size, limit)
		}
	})
}

// list starts a read by index.
func (m *machine) list(t *rapid.T, mayBeGone bool) {
	s := m.store
	if s.First() == s.Last() {
		return
	}
	lo := api.Index(rapid.Uint64Range(uint64(s.First())+1, uint64(s.Last())).Draw(t, "lo"))
	s.Entries(lo, rapid.IntRange(0, 300_000).Draw(t, "max"), func(got []*raftpb.Entry, err error) {
		if mayBeGone && errors.Is(err, ErrGone) {
			return
		}
		if err != nil || len(got) == 0 {
			t.Fatalf("entries from %d: %d entries, %v", lo, len(got), err)
		}
		for k, e := range got {
			want := m.log.entry(lo + api.Index(k))
			if e.GetIndex() != uint64(want.Index) || e.GetTerm() != uint64(want.Term) || e.GetType() != want.Type || !bytes.Equal(e.GetData(), want.Data) {
				t.Fatalf("entry %d: %v", want.Index, e)
			}
		}
	})
}

func (m *machine) Read(t *rapid.T) {
	m.cold(t)
	m.read(t, false)
	m.list(t, false)
	m.disk.run()
}

// Drop removes old segments while reads are under way.
func (m *machine) Drop(t *rapid.T) {
	m.checkpoint(t, true)
	before := api.Offset(rapid.Int64Range(0, int64(m.store.Next())).Draw(t, "before"))
	m.cold(t)
	for range 3 {
		m.read(t, true)
		m.list(t, true)
	}
	for range rapid.IntRange(0, len(m.disk.answers)).Draw(t, "answers") {
		m.disk.step()
	}
	old := m.store.Manifest()
	n := m.store.Droppable(before)
	m.store.Drop(before)
	kept := m.store.Manifest()
	if !slices.Equal(old[n:], kept) || n == len(old) {
		t.Fatalf("dropped %d of %v, left %v", n, old, kept)
	}
	if m.store.Start() > before && n > 0 {
		t.Fatalf("dropped below %d, starts at %d", before, m.store.Start())
	}
	for range rapid.IntRange(0, len(m.disk.answers)).Draw(t, "unlinks") {
		m.disk.step()
	}
	if rapid.Bool().Draw(t, "crash") {
		m.Crash(t)
	}
	m.disk.run()
}

// Move copies the log to another disk, and goes on there.
func (m *machine) Move(t *rapid.T) {
	from, to := m.store, newDisk(rapid.Uint64().Draw(t, "disk"))
	im := NewImport(to.log(), from.Manifest())
	m.Append(t) // the source goes on
	ended := from.Manifest()
	for {
		segment, position, length, ok := im.Next(rapid.IntRange(1, 200_000).Draw(t, "max"))
		if !ok {
			break
		}
		from.Copy(segment, position, length, func(data []byte, err error) {
			if err != nil || len(data) != length {
				t.Fatalf("copy of %d at %d: %d bytes, %v", segment, position, len(data), err)
			}
			im.Write(segment, position, data[:(len(data)+1)/2])
			im.Write(segment, position, data)
		})
		m.disk.run()
	}
	failure := errors.New("no answer")
	im.Finish(func(s *Store, tail Tail, err error) {
		failure = err
		m.store = s
	})
	to.run()
	if failure != nil {
		t.Fatalf("import of %v: %v", ended, failure)
	}
	m.disk = to
	m.marked = Position{}
	m.checkpoint(t, true)
	m.disk.crash()
	m.reopen(t)
}

// Check compares all that can be asked without a read, and the files.
func (m *machine) Check(t *rapid.T) {
	s := m.store
	if s.Last() != m.log.last() || s.Next() != m.log.next(m.log.last()) {
		t.Fatalf("last %d, next %d; want %d, %d", s.Last(), s.Next(), m.log.last(), m.log.next(m.log.last()))
	}
	if s.Start() != m.log.next(s.First()) {
		t.Fatalf("starts at offset %d, index %d", s.Start(), s.First())
	}
	for i := s.First(); i <= s.Last(); i++ {
		if got, ok := s.Term(i); !ok || got != m.log.term(i) {
			t.Fatalf("term of %d is %d, %v; want %d", i, got, ok, m.log.term(i))
		}
	}
	if _, ok := s.Term(s.First() - 1); ok {
		t.Fatalf("term of %d, before %d", s.First()-1, s.First())
	}
	m.log.feed(m.good, m.log.last())
	m.sameFiles(t)
}

// sameFiles compares the files with those of a log that nothing happened to.
func (m *machine) sameFiles(t *rapid.T) {
	all := m.good.Manifest()
	kept := m.store.Manifest()
	if !slices.Equal(all[len(all)-len(kept):], kept) {
		t.Fatalf("files %v, want %v", kept, all)
	}
	for _, file := range kept {
		name := fileName(folder, file.Segment)
		if !bytes.Equal(m.disk.visible[name].visible, m.goodDisk.visible[name].visible) {
			t.Fatalf("%s differs", name)
		}
	}
	if n := len(m.store.unlink); n > 0 {
		return
	}
	for name := range m.disk.visible {
		if index, ok := parseName(folder, name); !ok || index < m.store.First() || !strings.HasPrefix(name, folder) {
			t.Fatalf("%s should be gone", name)
		}
	}
}

// TestStore does anything, in any order, and compares with the model. As the files
// are those of an undisturbed log, it also shows that their bytes depend on the
// entries alone.
func TestStore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"append":          m.Append,
			"append more":     m.Append,
			"checkpoint":      m.Checkpoint,
			"checkpoint more": m.Checkpoint,
			"checkpoint cut":  m.CheckpointCut,
			"checkpoint fail": m.CheckpointFails,
			"crash":           m.Crash,
			"restart":         m.Restart,
			"read":            m.Read,
			"drop":            m.Drop,
			"move":            m.Move,
			"":                m.Check,
		})
	})
}
