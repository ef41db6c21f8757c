package segment

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

const folder = "groups/3/1/"

var firstState = State{Index: 1, Term: 1, Conf: &raftpb.ConfState{Voters: []uint64{1, 2, 3}, AutoLeave: new(false)}, Machine: []byte("new")}

// filled has n frames of three records and some 200 bytes; it rolls when full.
func filled(d *disk, n int, segmentBytes uint64) *Store {
	s := Create(d.log(), firstState)
	for range n {
		appendRecords(s, 1+api.Term(s.Last())/100)
		if s.Full(segmentBytes) {
			s.Roll(stateOf(s))
		}
	}
	return s
}

func appendRecords(s *Store, term api.Term) {
	i := s.Last() + 1
	s.Append(Frame{Kind: KindRecords, Index: i, Term: term, Base: s.Next(), Count: 3, Data: dataOf(i)})
}

func dataOf(i api.Index) []byte { return bytes.Repeat(fmt.Appendf(nil, "entry %d.", i), 20) }

func stateOf(s *Store) State {
	term, _ := s.Term(s.Last())
	return State{Index: s.Last(), Term: term, Next: s.Next(), Conf: firstState.Conf, Machine: fmt.Appendf(nil, "machine at %d", s.Last())}
}

func checkpointed(t *testing.T, d *disk, s *Store) Position {
	t.Helper()
	var at Position
	err := errors.New("no answer")
	s.Checkpoint(func(p Position, e error) { at, err = p, e })
	d.run()
	if err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	return at
}

// restored is what a log was found to be.
type restored struct {
	Tail
	torn Torn
}

func opened(t *testing.T, d *disk, synced Position) (*Store, restored) {
	t.Helper()
	s, tail, err := open(d, synced)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s, tail
}

func open(d *disk, synced Position) (s *Store, tail restored, err error) {
	err = errors.New("no answer")
	Open(d.log(), synced, &tail.Tail, func(o *Store, t Torn, e error) { s, tail.torn, err = o, t, e })
	d.run()
	return s, tail, err
}

func read(t *testing.T, d *disk, s *Store, from api.Offset, maxBytes int) []Frame {
	t.Helper()
	var got []Frame
	err := errors.New("no answer")
	s.Read(from, maxBytes, func(frames []Frame, e error) { got, err = frames, e })
	d.run()
	if err != nil {
		t.Fatalf("read from %d: %v", from, err)
	}
	return got
}

func TestReopenedLogHoldsEverything(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 1000, 20_000)
	last := s.Manifest()
	at := checkpointed(t, d, s)
	d.crash()
	s, tail := opened(t, d, at)
	if got := s.Manifest(); fmt.Sprint(got) != fmt.Sprint(last) || len(got) < 5 {
		t.Fatalf("manifest %v, was %v", got, last)
	}
	if tail.torn.Any || tail.State.Index != at.Segment || !proto.Equal(tail.State.Conf, firstState.Conf) ||
		string(tail.State.Machine) != fmt.Sprintf("machine at %d", at.Segment) {
		t.Fatalf("tail %+v", tail.State)
	}
	if n := len(tail.Frames); n == 0 || tail.Frames[n-1].Index != 1001 || s.Last() != 1001 || s.Next() != 3000 {
		t.Fatalf("%d frames, last %d, next %d", n, s.Last(), s.Next())
	}
	for i := api.Index(2); i <= 1001; i++ {
		if term, ok := s.Term(i); !ok || term != 1+api.Term(i-1)/100 {
			t.Fatalf("term of %d: %d, %v", i, term, ok)
		}
	}
	for from := api.Offset(0); from < s.Next(); from += 7 {
		got := read(t, d, s, from, 1000)
		i := api.Index(from/3) + 2
		if len(got) < 1 || got[0].Index != i || !bytes.Equal(got[0].Data, dataOf(i)) {
			t.Fatalf("from %d: %+v", from, got)
		}
	}
}

// watching notes when the first entry comes.
type watching struct {
	Tail
	disk  *disk
	first int // loads up to then
}

func (w *watching) Take(fr Frame) error {
	if w.first == 0 {
		w.first = w.disk.loads
	}
	return nil
}

// A log is handed on while it is read: nobody gathers the newest segment.
func TestRestoredAsItIsRead(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 20_000, 1<<30)
	at := checkpointed(t, d, s)
	d.restart()
	d.loads = 0
	w := &watching{disk: d}
	Open(d.log(), at, w, func(_ *Store, _ Torn, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	d.run()
	if w.first == 0 || w.first > d.loads/2 {
		t.Errorf("the first entry comes after %d loads of %d", w.first, d.loads)
	}
}

func TestTailIsReadWithoutTheDisk(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 20_000, 1<<20)
	if s.tail.size > tailBytes || s.tail.size < tailBytes*9/10 {
		t.Fatalf("tail of %d bytes", s.tail.size)
	}
	first := s.tail.frames[0]
	answers := 0
	s.Read(first.Base, 1<<30, func(got []Frame, err error) {
		answers++
		if err != nil || len(got) != len(s.tail.frames) {
			t.Fatalf("%d frames, %v", len(got), err)
		}
	})
	s.Entries(first.Index, 1<<30, func(got []*raftpb.Entry, err error) {
		answers++
		if err != nil || len(got) != len(s.tail.frames) {
			t.Fatalf("%d entries, %v", len(got), err)
		}
	})
	if answers != 2 || d.loads != 0 {
		t.Fatalf("%d answers, %d loads", answers, d.loads)
	}
	s.Read(first.Base-1, 0, func([]Frame, error) {})
	if d.loads != 1 {
		t.Fatalf("%d loads for what is older", d.loads)
	}
}

func TestFrameLongerThanTheTailIsReadFromDisk(t *testing.T) {
	d := newDisk(1)
	s := Create(d.log(), firstState)
	long := bytes.Repeat([]byte("x"), 3*tailBytes)
	s.Append(Frame{Kind: KindRecords, Index: 2, Term: 1, Count: 1, Data: long})
	appendRecords(s, 1)
	if got := read(t, d, s, 0, 10); len(got) != 1 || !bytes.Equal(got[0].Data, long) {
		t.Fatalf("%d frames", len(got))
	}
	if got := read(t, d, s, 2, 10); len(got) != 1 || got[0].Index != 3 {
		t.Fatalf("%d frames", len(got))
	}
	at := checkpointed(t, d, s)
	d.crash()
	if _, tail := opened(t, d, at); len(tail.Frames) != 2 {
		t.Fatalf("%d frames after recovery", len(tail.Frames))
	}
}

// A reader that goes through an old segment in order finds its way by what it has
// read: it loads each byte about once.
func TestOldSegmentsAreIndexedByReading(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 40_000, 1<<20)
	at := checkpointed(t, d, s)
	d.restart()
	s, _ = opened(t, d, at)
	if len(s.segments) <= maxMarked+1 {
		t.Fatalf("%d segments", len(s.segments))
	}
	d.loads = 0
	for from := api.Offset(0); from < s.Next(); {
		got := read(t, d, s, from, 60_000)
		from = got[len(got)-1].next()
	}
	total := int64(0)
	for _, file := range s.Manifest() {
		total += file.Length
	}
	if loads := int64(d.loads); loads > total/50_000 {
		t.Errorf("%d loads for %d bytes", loads, total)
	}
	marked := 0
	for _, g := range s.segments {
		if g.marks != nil {
			marked++
		}
	}
	if marked != maxMarked+1 {
		t.Errorf("%d segments marked", marked)
	}
	d.loads = 0
	read(t, d, s, s.tail.frames[0].Base-5000, 0)
	if d.loads != 1 {
		t.Errorf("%d loads in a segment that was read before", d.loads)
	}
}

func TestFullIsTheSegmentSizeOrAMultipleOfTheState(t *testing.T) {
	for _, c := range []struct{ machine, segment, want int }{{0, 1000, 1000}, {1000, 1000, 4 * (1000 + headerBytes + 12)}} {
		state := firstState
		state.Machine = make([]byte, c.machine)
		s := Create(newDisk(1).log(), state)
		for !s.Full(uint64(c.segment)) {
			appendRecords(s, 1)
		}
		got := int(s.active().length - s.active().state)
		if frame := headerBytes + len(dataOf(s.Last())); got < c.want-30 || got >= c.want+frame {
			t.Errorf("state of %d bytes, segments of %d: full at %d", c.machine, c.segment, got)
		}
	}
}

func TestWhatIsBelowTheLogIsGone(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 1000, 20_000)
	at := checkpointed(t, d, s)
	var before []error
	s.Read(0, 10, func(_ []Frame, err error) { before = append(before, err) })
	s.Entries(2, 10, func(_ []*raftpb.Entry, err error) { before = append(before, err) })
	s.Copy(1, 0, 10, func(_ []byte, err error) { before = append(before, err) })
	s.Drop(s.Next())
	if s.First() != at.Segment || len(s.segments) != 1 || s.Start() == 0 {
		t.Fatalf("first %d, start %d", s.First(), s.Start())
	}
	s.Read(0, 10, func(_ []Frame, err error) { before = append(before, err) })
	s.Entries(s.First(), 10, func(_ []*raftpb.Entry, err error) { before = append(before, err) })
	s.Copy(1, 0, 10, func(_ []byte, err error) { before = append(before, err) })
	d.run()
	if len(before) != 6 {
		t.Fatalf("%d answers", len(before))
	}
	for i, err := range before {
		if i >= 3 && !errors.Is(err, ErrGone) || err != nil && !errors.Is(err, ErrGone) {
			t.Errorf("answer %d: %v", i, err)
		}
	}
	if len(d.visible) != 1 {
		t.Errorf("%d files left", len(d.visible))
	}
}

// A segment that the last checkpoint ended in or did not reach stays, as the
// journal's mark leads there.
func TestDropKeepsWhatTheCheckpointNames(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 100, 5_000)
	at := checkpointed(t, d, s)
	for s.active().index == at.Segment {
		appendRecords(s, 9)
		if s.Full(5_000) {
			s.Roll(stateOf(s))
		}
	}
	s.Drop(s.Next())
	d.run()
	if s.First() != at.Segment {
		t.Fatalf("first %d, checkpoint %v", s.First(), at)
	}
	d.crash()
	opened(t, d, at)
}

// Names that go one by one leave no hole, whenever the crash comes.
func TestCrashWhileDroppingLeavesNoHole(t *testing.T) {
	for seed := range uint64(50) {
		d := newDisk(seed)
		s := filled(d, 1000, 10_000)
		at := checkpointed(t, d, s)
		s.Drop(s.Next() - 100)
		for range d.rng.Below(40) {
			if len(d.answers) > 0 {
				d.step()
			}
		}
		d.crash()
		s, _ = opened(t, d, at)
		if s.Last() != at.Index {
			t.Fatalf("seed %d: last %d, checkpoint %v", seed, s.Last(), at)
		}
	}
}

func TestNoCheckpointAfterAFailedSync(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 10, 1<<20)
	d.failSync = s.active().name
	var failures []error
	for range 3 {
		s.Checkpoint(func(_ Position, err error) { failures = append(failures, err) })
		appendRecords(s, 1)
	}
	d.run()
	for i, err := range failures {
		if err == nil {
			t.Errorf("checkpoint %d succeeded", i)
		}
	}
	if len(failures) != 3 || !errors.Is(failures[0], env.ErrIO) {
		t.Errorf("failures: %v", failures)
	}
}

func TestCopyGivesWhatThereIs(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 10, 1<<20)
	end := s.Manifest()[0].Length
	for _, c := range []struct {
		segment  api.Index
		position int64
		length   int
		want     int
	}{
		{1, 0, 100, 100}, {1, end - 5, 100, 5}, {1, 0, 1 << 30, int(end)},
		{1, end, 1, -1}, {1, end + 9, 1, -1}, {1, -1, 1, -1}, {1, 0, 0, -1}, {1, 0, -4, -1}, {2, 0, 1, -1}, {0, 0, 1, -1},
	} {
		s.Copy(c.segment, c.position, c.length, func(data []byte, err error) {
			if c.want < 0 != errors.Is(err, ErrGone) || c.want >= 0 && (err != nil || len(data) != c.want) {
				t.Errorf("%+v: %d bytes, %v", c, len(data), err)
			}
		})
	}
	d.run()
}

func TestImportIgnoresWhatItDidNotAskFor(t *testing.T) {
	whole, _ := small(t)
	d := newDisk(1)
	manifest := []File{{1, int64(len(whole[fileName(folder, 1)]))}}
	data := whole[fileName(folder, 1)]
	im := NewImport(d.log(), manifest)
	im.Write(1, 5, data[5:])
	im.Write(2, 0, data)
	im.Write(1, 0, data[:10])
	im.Write(1, 0, data[:20])
	if _, position, length, ok := im.Next(7); position != 10 || length != 7 || !ok {
		t.Fatalf("next asks for %d at %d, %v", length, position, ok)
	}
	im.Write(1, 10, append(bytes.Clone(data[10:]), "and more"...))
	if _, _, _, ok := im.Next(7); ok {
		t.Fatal("next asks for more than there is")
	}
	im.Write(1, 0, data)
	if got := d.visible[fileName(folder, 1)].visible; !bytes.Equal(got, data) {
		t.Fatalf("%d bytes written of %d", len(got), len(data))
	}
}

func TestRemoveAll(t *testing.T) {
	d := newDisk(1)
	remove := func() {
		err := errors.New("no answer")
		RemoveAll(d.files, folder, func(e error) { err = e })
		d.run()
		if err != nil {
			t.Fatal(err)
		}
	}
	remove()
	checkpointed(t, d, filled(d, 1000, 10_000))
	remove()
	if len(d.visible) > 0 {
		t.Fatalf("left: %v", contents(d))
	}
	checkpointed(t, d, filled(d, 10, 10_000))
}

func TestEntryThatDoesNotFollowPanics(t *testing.T) {
	good := Frame{Kind: KindRecords, Index: 4, Term: 2, Base: 6, Count: 1}
	for name, change := range map[string]func(*Frame){
		"index again": func(fr *Frame) { fr.Index = 3 },
		"index gap":   func(fr *Frame) { fr.Index = 5 },
		"term back":   func(fr *Frame) { fr.Term = 1 },
		"offset gap":  func(fr *Frame) { fr.Base = 7 },
		"no records":  func(fr *Frame) { fr.Count = 0 },
		"state":       func(fr *Frame) { fr.Kind, fr.Count = KindState, 0 },
		"kind":        func(fr *Frame) { fr.Kind = 9 },
	} {
		s := Create(newDisk(1).log(), firstState)
		appendRecords(s, 1)
		appendRecords(s, 2)
		fr := good
		change(&fr)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			s.Append(fr)
		}()
		s.Append(good)
	}
}

// However large a segment is, no more places in it are remembered, and each offset is read
// from one of them.
func TestMarksAreFew(t *testing.T) {
	d := newDisk(1)
	s := Create(d.log(), firstState)
	data := make([]byte, markBytes)
	for range 3*maxMarks + 17 {
		s.Append(Frame{Kind: KindRecords, Index: s.Last() + 1, Term: 1, Base: s.Next(), Count: 3, Data: data})
	}
	g := s.active()
	if len(g.marks) > maxMarks || len(g.marks) < maxMarks/2 {
		t.Errorf("%d places are remembered", len(g.marks))
	}
	s.tail = tail{}
	d.run()
	for _, from := range []api.Offset{0, 1, 100, 5000, 20_000, s.Next() - 1} {
		if got := read(t, d, s, from, 1); got[0].Base != from/3*3 {
			t.Errorf("offset %d is read from the frame at %d", from, got[0].Base)
		}
	}
	for i := 1; i < len(g.marks); i++ {
		if far := g.marks[i].position - g.marks[i-1].position; far < g.apart || far > 2*g.apart {
			t.Errorf("two places are %d bytes apart, and should be about %d", far, g.apart)
			break
		}
	}
}

// A log that nobody uses keeps nothing in memory; what is asked of it then comes from the
// disk.
func TestIdleLogKeepsNothing(t *testing.T) {
	d := newDisk(1)
	s := filled(d, 1000, 20_000)
	d.run()
	s.tail = tail{}
	for o := api.Offset(0); o < s.Next(); o += 30 {
		read(t, d, s, o, 1000)
	}
	appendRecords(s, 100)
	remembers := func() bool { return len(s.tail.frames) > 0 || len(s.marked) > 0 }
	if s.Rest(); !remembers() {
		t.Error("a log in use has forgotten all")
	}
	if s.Rest(); remembers() || s.segments[0].marks != nil || s.tail.chunk != nil {
		t.Error("an idle log remembers something")
	}
	d.run()
	for _, from := range []api.Offset{0, 1500, s.Next() - 1} {
		if got := read(t, d, s, from, 1); got[0].Base != from/3*3 {
			t.Errorf("offset %d is read from the frame at %d", from, got[0].Base)
		}
	}
	appendRecords(s, 100)
	d.run()
	if got := read(t, d, s, s.Next()-6, 1); got[0].Base != s.Next()-6 {
		t.Errorf("the frame before the last is read as that at %d", got[0].Base)
	}
}
