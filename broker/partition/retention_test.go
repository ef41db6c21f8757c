package partition

import (
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"pgregory.net/rapid"
)

// modelSegment is small: a few of the tests' batches of 61 bytes.
const (
	modelSegment = 200
	modelBytes   = 61
)

// modelLog is every batch that was ever appended.
type modelLog struct {
	batches  []modelAppended
	age      int64
	time     int64 // of the next batch
	settings Settings
	// since is how many batches there were when the settings changed.
	since int
}

type modelAppended struct{ end, age, time int64 }

// settle takes the log start that a command led to, and holds it to what may go and
// what must. before is what a trim asked for, 0 in other commands.
func (m *model) settle(t *rapid.T, got api.Offset, before int64) {
	start := m.start
	if before == -1 {
		before = m.end
	}
	if before > 0 && before <= m.end {
		start = max(start, before)
	}
	k := &m.kept
	inner := int64(got) == start || got == 0
	for i, b := range k.batches {
		inner = inner || b.end == int64(got)
		if gone := b.end <= int64(got); gone && b.end > start && !m.mayGo(i) {
			t.Fatalf("batch %d of %+v went, with start %d", i, *k, got)
		} else if !gone && m.mustGo(i) {
			t.Fatalf("batch %d of %+v is still there, with start %d", i, *k, got)
		}
	}
	if !inner || int64(got) < start {
		t.Fatalf("the log starts at %d, after %d: inside a batch", got, start)
	}
	m.start = int64(got)
}

// after is how many bytes there are behind a batch.
func (m *model) after(i int) int64 { return int64(len(m.kept.batches)-1-i) * modelBytes }

func (m *model) mayGo(i int) bool {
	k := &m.kept
	old := k.settings.RetentionTime != NoLimit && k.age-k.batches[i].age >= int64(k.settings.RetentionTime)
	much := k.settings.RetentionBytes != NoLimit && m.after(i) >= k.settings.RetentionBytes && i < len(k.batches)-1
	return old || much
}

func (m *model) mustGo(i int) bool {
	k := &m.kept
	keep := int64(k.settings.RetentionTime)
	old := keep != NoLimit && k.age-k.batches[i].age >= keep+max(keep/spansPerRetention, 1)
	much := k.settings.RetentionBytes != NoLimit && m.after(i) >= k.settings.RetentionBytes+modelSegment+modelBytes
	// A span that was begun before the settings changed may be longer.
	return i > k.since && old || much
}

func (m *model) checkSeek(t *rapid.T, from, time, at int64, found bool) {
	from = max(from, m.start)
	base := int64(0)
	for _, b := range m.kept.batches {
		if b.end > from && b.time >= time {
			if !found || at > max(base, from) {
				t.Fatalf("seek of %d from %d: %d, %t; there is one at %d in %+v", time, from, at, found, base, m.kept)
			}
			return
		}
		base = b.end
	}
	if found && at < from || !found && at != max(from, m.end) {
		t.Fatalf("seek of %d from %d: %d, %t, and there is none in %+v", time, from, at, found, m.kept)
	}
}

// The number of spans is bounded: the smallest become one, and nothing is lost.
func TestSpansAreBounded(t *testing.T) {
	s := New(1)
	for n := range int64(maxSpans + 100) {
		s.Apply(EncodeProduce(Tag{}, 0, 0, stamped(header(0, 0, 0, 1), n)))
	}
	if n := len(s.spans.list); n != maxSpans {
		t.Errorf("%d spans", n)
	}
	if err := New(1).Restore(s.Save()); err != nil {
		t.Error(err)
	}
	if at, found := s.Seek(0, maxSpans); !found || at > maxSpans || at < maxSpans-1 {
		t.Errorf("a time is sought from %d, %t", at, found)
	}
	if s.spans.bytes != (maxSpans+100)*modelBytes {
		t.Errorf("%d bytes", s.spans.bytes)
	}
}

// What producers say of the time decides nothing: neither the wall clock of the leader
// nor the time stamps of records make a log older.
func TestRetentionKnowsNoWallClock(t *testing.T) {
	s := New(1 << 20)
	s.Apply(EncodeSettings(Tag{}, 0, Settings{Version: 1, SegmentBytes: 1 << 20, RetentionTime: 1000, RetentionBytes: NoLimit}))
	s.Apply(EncodeProduce(Tag{}, 0, 10, stamped(header(0, 0, 0, 1), -1<<62)))
	s.Apply(EncodeProduce(Tag{}, 1<<50, 20, stamped(header(0, 0, 0, 1), 1<<62)))
	s.Apply(EncodeAge(Tag{}, 1<<51, 1019))
	if s.LogStart() != 0 {
		t.Fatalf("starts at %d after 999 ms", s.LogStart())
	}
	if s.Due(1019) || !s.Due(1020) {
		t.Error("due at the wrong age")
	}
	if out := s.Apply(EncodeAge(Tag{}, 0, 1020)); out.LogStart != 2 || s.End() != 2 {
		t.Errorf("starts at %d of %d after 1000 ms", out.LogStart, s.End())
	}
}
