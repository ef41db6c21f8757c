package partition

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
)

// example is a history of which each part of a saved state has something to say.
func example() [][]byte {
	const now = 1_700_000_000_000
	tag := Tag{Origin: 5, Number: 6}
	commands := [][]byte{
		nil,
		EncodeSettings(tag, now, Settings{Version: 5, SegmentBytes: 200, RetentionTime: NoLimit, RetentionBytes: NoLimit}),
		EncodeProduce(tag, now, 0, header(0, 0, 0, 3)),
	}
	for sequence := range int64(7) {
		commands = append(commands, EncodeProduce(tag, now+1, 0, header(300, 2, sequence, 1)))
	}
	return append(commands,
		EncodeProduce(tag, now+9, 100, stamped(header(1, 0, 0, 200), 1000)),
		EncodeTrim(tag, now+9, 4),
		EncodeProduce(tag, now-5000, 200, stamped(header(300, 2, 7, 1), -1)))
}

func apply(commands ...[]byte) *State {
	s := New(0)
	for _, c := range commands {
		s.Apply(c)
	}
	return s
}

// The bytes stand in logs and state frames: a change here is a change of the format.
func TestGolden(t *testing.T) {
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"produce", EncodeProduce(Tag{Origin: 1, Number: 300}, 1000, 200, []byte("batch")), "010101ac02e807c801056261746368"},
		{"trim", EncodeTrim(Tag{Origin: 1, Number: 2}, 1000, 9), "01020102e8070a"},
		{"trim to the end", EncodeTrim(Tag{Origin: 1, Number: 2}, 1000, -1), "01020102e80700"},
		{"age", EncodeAge(Tag{Origin: 1, Number: 2}, 1000, 300), "01030102e807ac02"},
		{"settings", EncodeSettings(Tag{Origin: 1, Number: 2}, 1000, Settings{3, 4, 5, 6}), "01040102e80703040607"},
		{"no limits", EncodeSettings(Tag{Origin: 1, Number: 2}, 1000, Settings{3, 4, NoLimit, NoLimit}), "01040102e80703040000"},
		{"new state", New(1 << 20).Save(), "02" + "00808040" + "0000" + "0000" + "0000" + "00" + "00" + "00"},
		{"state", apply(example()...).Save(),
			"02" + "05c8010000" + // settings of version 5: segments of 200 bytes, and no limit
				"04d301f8a895ffbc31e9d403" + // start 4, end 211, the clock
				"c801" + "03" + // the log has lasted 200 ms, in three spans
				"02" + "00" + "00" + "f401" + "00" + // to offset 6: four batches, 244 bytes
				"04" + "00" + "00" + "f401" + "00" + // to 10: four more
				"c901" + "64" + "c801" + "7a" + "e807" + // to 211, at ages of 100 to 200, a time stamp of 1000
				"02" + // two producers
				"01e9d403000001c8010a" + // producer 1 was used last but one
				"ac02e9d403020305010601070108010901d201"}, // producer 300, epoch 2, from sequence 3
	} {
		if got := hex.EncodeToString(test.got); got != test.want {
			t.Errorf("%s is\n%s, want\n%s", test.name, got, test.want)
		}
	}
}

func TestBatch(t *testing.T) {
	command := EncodeProduce(Tag{Origin: 1, Number: 2}, 3, 0, []byte("batch"))
	batch, ok := Batch(command)
	if !ok || string(batch) != "batch" || &batch[0] != &command[len(command)-5] {
		t.Errorf("the batch is %q, %t", batch, ok)
	}
	for _, other := range [][]byte{nil, EncodeTrim(Tag{}, 0, 0), command[:len(command)-1], append(command, 0)} {
		if batch, ok := Batch(other); ok {
			t.Errorf("%x has the batch %q", other, batch)
		}
	}
}

// A proposer hears of its command even if only the head can be read.
func TestMalformedCommandKeepsItsTag(t *testing.T) {
	tag := Tag{Origin: 1, Number: 2}
	whole := EncodeProduce(tag, 3, 0, header(0, 0, 0, 1))
	out := New(0).Apply(whole[:len(whole)-1])
	if out.Tag != tag || out.Code != api.Code_INVALID_REQUEST || out.Base != NoOffset {
		t.Errorf("answered %+v", out)
	}
}

func TestCorruptBatchChangesNothing(t *testing.T) {
	batch := header(1, 0, 0, 5)
	batch[60]++
	s := New(0)
	out := s.Apply(EncodeProduce(Tag{}, 0, 0, batch))
	if out.Code != api.Code_CORRUPT_BATCH || !bytes.Equal(s.Save(), New(0).Save()) {
		t.Errorf("answered %+v, state %x", out, s.Save())
	}
}

func TestRestoreRefuses(t *testing.T) {
	good := apply(example()...)
	saved := good.Save()
	for n := range saved {
		if err := good.Restore(saved[:n]); !errors.Is(err, ErrState) {
			t.Fatalf("the first %d bytes are accepted: %v", n, err)
		}
	}
	if !bytes.Equal(good.Save(), saved) {
		t.Error("a refused state left a trace")
	}
	// state has no settings, and an age of 0.
	state := func(start, end byte) []byte { return []byte{stateVersion, 0, 0, 0, 0, start, end, 0, 0, 0} }
	producers := func(list ...uint64) []byte {
		b := append(state(0, 10), 1, 10, 0, 0, 1, 0)
		for _, n := range list {
			b = codec.AppendUvarint(b, n)
		}
		return b
	}
	spans := func(list ...byte) []byte { return append(append(state(0, 10), list...), 0) }
	for name, data := range map[string][]byte{
		"another version":          append([]byte{1}, saved[1:]...),
		"no span":                  spans(0),
		"spans that end early":     spans(1, 9, 0, 0, 1, 0),
		"spans beyond the end":     spans(1, 11, 0, 0, 1, 0),
		"an empty span":            spans(2, 0, 0, 0, 1, 0, 10, 0, 0, 1, 0),
		"a span of the future":     spans(1, 10, 0, 1, 1, 0),
		"a span that ages back":    append(append(state(0, 10)[:9], 5, 1, 10, 3, 2, 1, 0), 0),
		"spans that age back":      append(append(state(0, 10)[:9], 5, 2, 4, 1, 3, 1, 0, 6, 2, 4, 1, 0), 0),
		"a retention below none":   append([]byte{stateVersion, 0, 0}, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0),
		"bytes left over":          append(bytes.Clone(saved), 0),
		"start beyond the end":     append(state(2, 1), 0, 0),
		"an overlong number":       {stateVersion, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"more producers than fit":  producers(1 << 40),
		"producer 0":               producers(1, 0, 0, 0, 0, 1, 1, 0),
		"a producer without batch": producers(1, 1, 0, 0, 0, 0),
		"six batches":              producers(1, 1, 0, 0, 0, 6, 1, 0, 1, 1, 1, 2, 1, 3, 1, 4, 1, 5),
		"an epoch out of range":    producers(1, 1, 0, 1<<15, 0, 1, 1, 0),
		"a sequence out of range":  producers(1, 1, 0, 0, 1<<31, 1, 1, 0),
		"a batch without records":  producers(1, 1, 0, 0, 0, 1, 0, 0),
		"a batch beyond the end":   producers(1, 1, 0, 0, 0, 1, 2, 9),
		"batches that overlap":     producers(1, 1, 0, 0, 0, 2, 2, 0, 2, 1),
		"a producer twice":         producers(2, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1),
		"a use in the future":      producers(1, 1, 1, 0, 0, 1, 1, 0),
	} {
		if err := New(0).Restore(data); !errors.Is(err, ErrState) {
			t.Errorf("%s: %x is accepted: %v", name, data, err)
		}
	}
}

// A full table forgets the longest idle, and goes on.
func TestFullTable(t *testing.T) {
	s := New(0)
	for id := range int64(MaxProducers + 1) {
		s.Apply(EncodeProduce(Tag{}, 0, 0, header(id+1, 0, 0, 1)))
	}
	saved := s.Save()
	if err := s.Restore(saved); err != nil || !bytes.Equal(s.Save(), saved) || s.producers.Len() != MaxProducers {
		t.Fatalf("a full table is not restored as it was: %v", err)
	}
	last := s.Apply(EncodeProduce(Tag{}, 0, 0, header(MaxProducers+1, 0, 1, 1)))
	first := s.Apply(EncodeProduce(Tag{}, 0, 0, header(1, 0, 1, 1)))
	if last.Code != api.Code_OK || first.Code != api.Code_UNKNOWN_PRODUCER {
		t.Errorf("the last producer is answered %+v, the first %+v", last, first)
	}
}

// FuzzApply cuts its input into entries, and holds a replica that starts again after
// each against one that lives.
func FuzzApply(f *testing.F) {
	var history []byte
	for _, c := range example() {
		history = codec.AppendBytes(history, c)
	}
	f.Add(history)
	f.Add([]byte{0, 1, 1, 3, 1, 1, 0})
	f.Add(codec.AppendBytes(nil, EncodeTrim(Tag{}, 0, -9)))
	f.Fuzz(func(t *testing.T, history []byte) {
		live, saved := New(0), New(0)
		for r := codec.NewReader(history); r.Len() > 0; {
			entry := r.Bytes()
			before := live.End()
			out := live.Apply(entry)
			if live.End() != before+api.Offset(out.Count) || live.LogStart() > live.End() {
				t.Fatalf("%x: end %d to %d, %+v", entry, before, live.End(), out)
			}
			if other := saved.Apply(entry); other != out {
				t.Fatalf("%x: %+v, and started again %+v", entry, out, other)
			}
			data := saved.Save()
			saved = New(0)
			if err := saved.Restore(data); err != nil {
				t.Fatalf("%x cannot be restored: %v", data, err)
			}
		}
		if !bytes.Equal(live.Save(), saved.Save()) {
			t.Fatalf("%x, and started again %x", live.Save(), saved.Save())
		}
	})
}

// FuzzRestore holds that a state has one encoding only, and that no bytes lead to a
// state in which a command panics.
func FuzzRestore(f *testing.F) {
	f.Add(New(0).Save())
	f.Add(apply(example()...).Save())
	f.Add([]byte{stateVersion, 0, 9, 0, 0, 0, 10, 0, 5, 3, 1, 10, 1, 2, 5, 0, 1, 1, 5, 0, 0, 1, 1, 9})
	f.Add([]byte{stateVersion, 1, 9, 3, 9, 0, 10, 0, 5, 3, 2, 7, 1, 2, 5, 0, 3, 2, 3, 1, 9, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New(0)
		if s.Restore(data) != nil {
			return
		}
		if again := s.Save(); !bytes.Equal(again, data) {
			t.Fatalf("%x is saved again as %x", data, again)
		}
		for _, c := range example() {
			s.Apply(c)
		}
		if err := New(0).Restore(s.Save()); err != nil {
			t.Fatalf("after commands: %v", err)
		}
	})
}

// BenchmarkProduce shows that a batch costs the same however many producers are
// known.
func BenchmarkProduce(b *testing.B) {
	for _, known := range []int64{1, MaxProducers - 1} {
		b.Run(fmt.Sprint(known, "-producers"), func(b *testing.B) {
			s := New(0)
			for id := range known {
				s.Apply(EncodeProduce(Tag{}, 0, 0, header(id+1, 0, 0, 1)))
			}
			for sequence := int64(1); b.Loop(); sequence++ {
				s.Apply(EncodeProduce(Tag{}, 0, 0, header(1, 0, sequence, 1)))
			}
		})
	}
}
