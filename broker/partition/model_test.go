package partition

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/idle"
	"pgregory.net/rapid"
)

// model is a partition as it should be, without any saving of space: every batch of
// every producer, with sequences that never wrap, and exact times.
type model struct {
	start, end, now int64
	stamp           int64
	producers       map[int64]*modelProducer
	kept            modelLog
}

type modelProducer struct {
	epoch, used int64
	batches     []modelBatch // of this epoch, all of them
}

type modelBatch struct{ sequence, count, base int64 }

func (p *modelProducer) next() int64 {
	last := p.batches[len(p.batches)-1]
	return last.sequence + last.count
}

// produce says what becomes of a batch whose sequence has not been wrapped.
func (m *model) produce(id, epoch int64, b modelBatch) (code api.Code, base int64, duplicate bool) {
	if id == 0 {
		return api.Code_OK, m.append(b.count), false
	}
	p := m.producers[id]
	switch {
	case p == nil && b.sequence != 0:
		return api.Code_UNKNOWN_PRODUCER, -1, false
	case p != nil && epoch < p.epoch:
		return api.Code_PRODUCER_FENCED, -1, false
	case p != nil && epoch > p.epoch && b.sequence != 0:
		return api.Code_OUT_OF_ORDER_SEQUENCE, -1, false
	case p == nil || epoch > p.epoch:
		p = &modelProducer{epoch: epoch}
		m.producers[id] = p
	default:
		if code, base := p.known(b); code != api.Code_OK || base >= 0 {
			if code == api.Code_OK {
				p.used = m.now
			}
			return code, base, code == api.Code_OK
		}
	}
	b.base = m.append(b.count)
	p.batches, p.used = append(p.batches, b), m.now
	return api.Code_OK, b.base, false
}

// known looks at all batches of the epoch. It gives OK and -1 for the next one.
func (p *modelProducer) known(b modelBatch) (api.Code, int64) {
	for i, old := range p.batches {
		if old.sequence == b.sequence && old.count == b.count && i >= len(p.batches)-5 {
			return api.Code_OK, old.base
		}
	}
	switch {
	case b.sequence > p.next():
		return api.Code_OUT_OF_ORDER_SEQUENCE, -1
	case b.sequence < p.next():
		return api.Code_DUPLICATE_SEQUENCE, -1
	}
	return api.Code_OK, -1
}

func (m *model) append(count int64) int64 {
	base := m.end
	m.end += count
	m.kept.batches = append(m.kept.batches, modelAppended{end: m.end, age: m.kept.age, time: m.kept.time})
	return base
}

// advance takes a stamp, and forgets.
func (m *model) advance(stamp int64) {
	if stamp > m.stamp {
		m.now += min(stamp-m.stamp, int64(idle.MaxStep))
	}
	m.stamp = stamp
	for id, p := range m.producers {
		if m.now-p.used >= int64(idle.Expiry) {
			delete(m.producers, id)
		}
	}
}

// machine is the model beside two replicas: one lives, one starts again and again.
type machine struct {
	model       model
	live, saved *State
	number      uint64
	wall        int64
	age         int64
}

const (
	modelProducers = 3 // below what one command expires, so that the model can be exact
	wrap           = 1 << 31
)

func (m *machine) Produce(t *rapid.T) {
	id := rapid.Int64Range(0, modelProducers).Draw(t, "id")
	epoch, b := int64(0), modelBatch{count: rapid.SampledFrom([]int64{1, 2, 3, 7}).Draw(t, "count")}
	if p := m.model.producers[id]; p != nil {
		epoch = max(0, p.epoch+rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 0, 1, -1}).Draw(t, "epoch"))
		b = m.draw(t, p, b)
	} else if id != 0 {
		b.sequence = rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "first")
	}
	m.produce(t, id, epoch, b)
}

// draw chooses what a producer sends next.
func (m *machine) draw(t *rapid.T, p *modelProducer, b modelBatch) modelBatch {
	old := p.batches[len(p.batches)-1-rapid.IntRange(0, min(8, len(p.batches)-1)).Draw(t, "back")]
	b.sequence = p.next()
	switch rapid.SampledFrom([]string{"next", "next", "retry", "retry", "gap", "far", "overlap", "first"}).Draw(t, "kind") {
	case "retry":
		b.sequence, b.count = old.sequence, old.count
	case "gap":
		b.sequence += rapid.Int64Range(1, 9).Draw(t, "gap")
	case "far":
		b.sequence += rapid.Int64Range(1, wrap/2-1).Draw(t, "far")
	case "overlap":
		b.sequence = old.sequence + rapid.Int64Range(0, old.count-1).Draw(t, "into")
	case "first":
		b.sequence = 0
	}
	// The state can only tell what is within half the sequences.
	b.sequence = max(b.sequence, p.next()-wrap/2)
	return b
}

// Wrap sends a producer around most of the sequences in batches of the largest size.
func (m *machine) Wrap(t *rapid.T) {
	id := rapid.Int64Range(1, modelProducers).Draw(t, "id")
	p := m.model.producers[id]
	if p == nil {
		t.Skip("no such producer")
	}
	for range rapid.IntRange(50, 64).Draw(t, "batches") {
		m.produce(t, id, p.epoch, modelBatch{sequence: p.next(), count: maxRecords})
	}
}

func (m *machine) Trim(t *rapid.T) {
	before := rapid.Int64Range(-2, m.model.end+1).Draw(t, "before")
	out := m.apply(t, EncodeTrim(m.tag(), api.Milliseconds(m.wall), api.Offset(before)))
	m.model.advance(m.wall)
	m.model.settle(t, out.LogStart, before)
	want := api.Code_OK
	switch {
	case before < -1 || before > m.model.end:
		want = api.Code_OFFSET_OUT_OF_RANGE
	}
	if out.Code != want || out.Base != NoOffset || out.Count != 0 {
		t.Fatalf("trim before %d: %+v, want %v", before, out, want)
	}
}

func (m *machine) Wait(t *rapid.T) {
	m.age += rapid.Int64Range(0, 3000).Draw(t, "age")
	m.wall += rapid.SampledFrom([]int64{1, 1000, int64(idle.MaxStep), int64(idle.Expiry), -int64(idle.Expiry)}).Draw(t, "step")
}

// Day lets commands come in until those who are idle are forgotten.
func (m *machine) Day(t *rapid.T) {
	for range rapid.IntRange(1000, 1440).Draw(t, "minutes") {
		m.wall += int64(idle.MaxStep)
		m.model.advance(m.wall)
		command := EncodeTrim(m.tag(), api.Milliseconds(m.wall), 0)
		m.live.Apply(command)
		m.saved.Apply(command)
	}
}

func (m *machine) Garbage(t *rapid.T) {
	data := rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "data")
	if _, ok := decode(data); ok {
		t.Skip("a command by chance")
	}
	if out := m.apply(t, data); out.Base != NoOffset || out.Count != 0 || (out.Code == api.Code_OK) != (len(data) == 0) {
		t.Fatalf("%x: %+v", data, out)
	}
}

func (m *machine) Restart(t *rapid.T) {
	restarted := New(9)
	if err := restarted.Restore(m.saved.Save()); err != nil {
		t.Fatal(err)
	}
	m.saved = restarted
}

// Age writes down how long the log has lasted, as a leader does that is ahead of the
// log or behind it.
func (m *machine) Age(t *rapid.T) {
	age := max(0, m.age-rapid.SampledFrom([]int64{0, 0, 0, 700}).Draw(t, "behind"))
	out := m.apply(t, EncodeAge(m.tag(), api.Milliseconds(m.wall), api.Milliseconds(age)))
	m.model.advance(m.wall)
	m.model.kept.age = max(m.model.kept.age, age)
	m.model.settle(t, out.LogStart, 0)
}

// Settings changes what is kept, or tries to go back to what was before.
func (m *machine) Settings(t *rapid.T) {
	now := m.live.Settings()
	next := Settings{
		Version: now.Version + rapid.Uint64Range(0, 1).Draw(t, "version"), SegmentBytes: modelSegment,
		RetentionTime:  api.Milliseconds(rapid.SampledFrom([]int64{NoLimit, 0, 1, 800, 5000}).Draw(t, "time")),
		RetentionBytes: rapid.SampledFrom([]int64{NoLimit, 0, 100, 600}).Draw(t, "bytes"),
	}
	out := m.apply(t, EncodeSettings(m.tag(), api.Milliseconds(m.wall), next))
	m.model.advance(m.wall)
	if next.Version > now.Version {
		m.model.kept.settings, m.model.kept.since = next, len(m.model.kept.batches)
	}
	m.model.settle(t, out.LogStart, 0)
}

// Seek looks for a time stamp.
func (m *machine) Seek(t *rapid.T) {
	from := rapid.Int64Range(0, m.model.end).Draw(t, "from")
	time := rapid.Int64Range(-21, 21).Draw(t, "time")
	at, found := m.live.Seek(api.Offset(from), api.Milliseconds(time))
	m.model.checkSeek(t, from, time, int64(at), found)
}

// Check holds both replicas to the model and to each other.
func (m *machine) Check(t *rapid.T) {
	got := fmt.Sprint(m.live.LogStart(), m.live.End(), m.live.Age(), m.live.producers.Len())
	if want := fmt.Sprint(m.model.start, m.model.end, m.model.kept.age, len(m.model.producers)); got != want {
		t.Fatalf("start, end, age, producers: %s, want %s", got, want)
	}
	m.model.checkProducers(t, m.live.Producers(modelProducers+1, api.Milliseconds(m.model.stamp)))
	if live, saved := m.live.Save(), m.saved.Save(); !bytes.Equal(live, saved) {
		t.Fatalf("a replica that started again has the state\n%x, not\n%x", saved, live)
	}
}

// checkProducers holds what is told of producers to what they did, the latest used first.
func (m *model) checkProducers(t *rapid.T, told []Producer) {
	if len(told) != len(m.producers) {
		t.Fatalf("%d producers are told of, want %d", len(told), len(m.producers))
	}
	for i, got := range told {
		p := m.producers[int64(got.ID)]
		last := p.batches[len(p.batches)-1]
		want := Producer{
			ID: got.ID, Epoch: api.Epoch(p.epoch), LastSequence: api.Sequence((p.next() - 1) % wrap),
			LastOffset: api.Offset(last.base + last.count - 1), Idle: api.Milliseconds(m.now - p.used),
		}
		if got != want || i > 0 && got.Idle < told[i-1].Idle {
			t.Fatalf("told of %+v after %+v, want %+v", got, told[:i], want)
		}
	}
}

func (m *machine) tag() Tag {
	m.number++
	return Tag{Origin: 9, Number: m.number}
}

func (m *machine) produce(t *rapid.T, id, epoch int64, b modelBatch) {
	if b.sequence < 0 {
		t.Skip("before the first sequence")
	}
	m.model.kept.time = rapid.Int64Range(-20, 20).Draw(t, "time")
	wrapped := stamped(header(id, epoch, b.sequence%wrap, b.count), m.model.kept.time)
	early, certain := m.live.Past(wrapped)
	out := m.apply(t, EncodeProduce(m.tag(), api.Milliseconds(m.wall), api.Milliseconds(m.age), wrapped))
	m.model.advance(m.wall)
	known := m.model.producers[id] != nil // and has not been forgotten since it was asked
	m.model.kept.age = m.age
	code, base, duplicate := m.model.produce(id, epoch, b)
	m.model.settle(t, out.LogStart, 0)
	count := b.count
	if duplicate || code != api.Code_OK {
		count = 0
	}
	want := Outcome{Tag: Tag{Origin: 9, Number: m.number}, Code: code, Message: out.Message, Base: api.Offset(base),
		Count: int32(count), Duplicate: duplicate, LogStart: api.Offset(m.model.start)}
	if out != want || (out.Message == "") != (code == api.Code_OK) {
		t.Fatalf("producer %d epoch %d %+v:\n%+v, want\n%+v", id, epoch, b, out, want)
	}
	past := known && (duplicate || code == api.Code_PRODUCER_FENCED || code == api.Code_DUPLICATE_SEQUENCE)
	if early.Tag, early.LogStart = out.Tag, out.LogStart; known && certain != past || past && early != out {
		t.Fatalf("producer %d epoch %d %+v: %+v, %t ahead of time, and then\n%+v", id, epoch, b, early, certain, out)
	}
}

func (m *machine) apply(t *rapid.T, command []byte) Outcome {
	out := m.live.Apply(command)
	if other := m.saved.Apply(command); other != out {
		t.Fatalf("a replica that started again answers %+v, not %+v", other, out)
	}
	return out
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{live: New(modelSegment), saved: New(modelSegment)}
		m.model.kept.settings = m.live.Settings()
		m.model.producers = make(map[int64]*modelProducer)
		t.Repeat(rapid.StateMachineActions(m))
	})
}
