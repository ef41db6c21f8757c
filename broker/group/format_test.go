package group

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/command"
)

var tag = command.Tag{Origin: 1, Number: 300}

const now = 1000

// example is a history of which each part of a saved state has something to say.
func example() [][]byte {
	return [][]byte{
		nil,
		EncodeJoin(tag, now, "g", Join{Token: "x", Instance: "i", Session: 10_000, Rebalance: 60_000, Assignor: Range, Topics: []string{"t", "b"}}),
		EncodeTopics(tag, now, "g", Catalogue{Version: 7, Topics: []Topic{{"t", 3, 2}}}),
		EncodeJoin(tag, now+1, "g", Join{Token: "y", Session: 10_000, Rebalance: 60_000, Topics: []string{"t"}}),
		EncodeTopics(tag, now+1, "g", Catalogue{Version: 7, Topics: []Topic{{"t", 3, 2}}}),
		EncodeJoin(tag, now+1, "g", Join{Member: 2, Session: 10_000, Rebalance: 60_000, Topics: []string{"t", "u"}}),
		EncodeCommit(tag, now+2, "g", Commit{Member: 1, Epoch: 2, Sequence: 4, Offsets: []Offset{{Partition{3, 0}, 300, "meta"}}}),
		EncodeCommit(tag, now+3, "alone", Commit{Offsets: []Offset{{Partition{3, 1}, 5, ""}}}),
	}
}

func apply(commands ...[]byte) *State {
	s := New(1 << 20)
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
		{"join", EncodeJoin(tag, now, "g", Join{Member: 1, Token: "x", Instance: "i", Former: 300, Session: 10_000, Rebalance: 60_000, Assignor: RoundRobin, Topics: []string{"t"}}),
			"010101ac02e807" + "0167" + "01" + "0178" + "0169" + "ac02" + "904e" + "e0d403" + "02" + "01" + "0174"},
		{"sync", EncodeSync(tag, now, "g", 1, 300, []Partition{{3, 2}}), "010201ac02e807" + "0167" + "01" + "ac02" + "01" + "0302"},
		{"leave", EncodeLeave(tag, now, "g", 1), "010301ac02e807" + "0167" + "01"},
		{"expire", EncodeExpire(tag, now, "g", 1, 300), "010401ac02e807" + "0167" + "01" + "ac02"},
		{"topics", EncodeTopics(tag, now, "g", Catalogue{7, []Topic{{"t", 3, 2}}, []api.TopicID{300}}),
			"010501ac02e807" + "0167" + "07" + "01" + "0174" + "03" + "02" + "01" + "ac02"},
		{"commit", EncodeCommit(tag, now, "g", Commit{1, 2, 9, []Offset{{Partition{3, 2}, 300, "m"}}}),
			"010601ac02e807" + "0167" + "01" + "02" + "09" + "01" + "0302" + "ac02" + "016d"},
		{"reset", EncodeReset(tag, now, "g", []Offset{{Partition{3, 2}, 0, ""}, {Partition{3, 1}, Forget, ""}}),
			"010701ac02e807" + "0167" + "02" + "030201" + "030100"},
		{"delete", EncodeDelete(tag, now, "g"), "010801ac02e807" + "0167"},
		{"new state", New(1 << 20).Save(), "4703" + "808040" + "00" + "000000" + "0000" + "00" + "00"},
		{"state", apply(example()...).Save(),
			"4703" + "808040" + "07" + "00009401" + "eb07eb07" + "02" + "02" + // seven commands and their bytes, the clock, two members so far, two groups
				"05616c6f6e65" + "00" + "00" + "eb07" + "00" + "00" + "00" + "00" + "01" + "03010500" + // alone: one offset
				"0167" + "02" + "01" + "00" + "07" + "01" + "01740302" + "02" + // g: generation 2 and another due, one topic, two members
				"01" + "0178" + "0169" + "904e" + "e0d403" + "01" + "02" + "01620174" + "02" + "01" + "04" + "01" + "0300" +
				"02" + "0179" + "00" + "904e" + "e0d403" + "00" + "02" + "01740175" + "01" + "02" + "00" + "01" + "0301" +
				"02" + "0300010202" + "0301010202" + // member 1 owns both partitions since its epoch 2
				"01" + "0300ac02046d657461"},
	} {
		if got := hex.EncodeToString(test.got); got != test.want {
			t.Errorf("%s is\n%s, want\n%s", test.name, got, test.want)
		}
	}
}

// A proposer hears of its command even if only the head can be read.
func TestMalformedCommandKeepsItsTag(t *testing.T) {
	whole := EncodeLeave(tag, now, "g", 1)
	if out := New(0).Apply(whole[:len(whole)-1]); out.Tag != tag || out.Code != api.Code_INVALID_REQUEST || out.Count != 1 {
		t.Errorf("answered %+v", out)
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
	for name, change := range map[string][2]string{
		"another version":                    {"4703808040", "4702808040"},
		"a partition's state":                {"4703808040", "0202808040"},
		"groups out of order":                {"05616c6f6e65", "057a6c6f6e65"},
		"a group without a name":             {"05616c6f6e65", "00616c6f6e65"},
		"a member that was never made":       {"eb07eb0702", "eb07eb0701"},
		"a session too short":                {"0169904e", "016901"},
		"an assignor that there is not":      {"e0d40301", "e0d40303"},
		"a target of two":                    {"0102000103010", "0102000103000"},
		"a log kept from what is to come":    {"0700009401", "0700089401"},
		"a generation due that is not":       {"01670201", "01670202"},
		"an owner who is no member":          {"0300010202", "0300030202"},
		"an owner since what is to come":     {"0300010202", "0300010303"},
		"partitions out of order":            {"03000102020301010202", "03010102020300010202"},
		"a topic of no partitions":           {"01740302", "01740300"},
		"a group emptied when it is not yet": {"0000eb07000000", "0000ec07000000"},
	} {
		text := hex.EncodeToString(saved)
		if strings.Count(text, change[0]) < 1 {
			t.Fatalf("%s: nothing to change", name)
		}
		data, err := hex.DecodeString(strings.Replace(text, change[0], change[1], 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := good.Restore(data); !errors.Is(err, ErrState) {
			t.Errorf("%s is accepted", name)
		}
	}
	if !bytes.Equal(good.Save(), saved) {
		t.Error("a refused state left a trace")
	}
	if err := New(0).Restore(saved); err != nil {
		t.Errorf("a good state is refused: %v", err)
	}
}

// What a coordinator will not have is refused with its reason, and changes nothing.
func TestBounds(t *testing.T) {
	long := strings.Repeat("x", MaxName+1)
	good := Join{Session: 10_000, Rebalance: 10_000, Topics: []string{"t"}}
	bad := func(change func(*Join)) []byte {
		j := good
		change(&j)
		return EncodeJoin(tag, now, "g", j)
	}
	for name, test := range map[string]struct {
		command []byte
		want    api.Code
	}{
		"no name":         {EncodeJoin(tag, now, "", good), api.Code_INVALID_REQUEST},
		"a long name":     {EncodeJoin(tag, now, long, good), api.Code_INVALID_REQUEST},
		"a long topic":    {bad(func(j *Join) { j.Topics = []string{long} }), api.Code_INVALID_REQUEST},
		"many topics":     {bad(func(j *Join) { j.Topics = make([]string, MaxTopics+1) }), api.Code_INVALID_REQUEST},
		"a long token":    {bad(func(j *Join) { j.Token = long }), api.Code_INVALID_REQUEST},
		"a long instance": {bad(func(j *Join) { j.Instance = long }), api.Code_INVALID_REQUEST},
		"a short session": {bad(func(j *Join) { j.Session = MinSession - 1 }), api.Code_INVALID_REQUEST},
		"a long pause":    {bad(func(j *Join) { j.Rebalance = MaxSession + 1 }), api.Code_INVALID_REQUEST},
		"a stranger":      {bad(func(j *Join) { j.Member = 7 }), api.Code_UNKNOWN_MEMBER},
		"no group":        {EncodeDelete(tag, now, "g"), api.Code_UNKNOWN_GROUP},
		"no group to set": {EncodeReset(tag, now, "g", nil), api.Code_UNKNOWN_GROUP},
		"topics twice":    {EncodeTopics(tag, now, "g", Catalogue{1, []Topic{{"t", 3, 2}, {"u", 3, 2}}, nil}), api.Code_INVALID_REQUEST},
		"huge topics":     {EncodeTopics(tag, now, "g", Catalogue{1, []Topic{{"t", 3, MaxPartitions + 1}}, nil}), api.Code_INVALID_REQUEST},
		"before 0":        {EncodeCommit(tag, now, "g", Commit{Offsets: []Offset{{Offset: -1}}}), api.Code_INVALID_REQUEST},
		"long metadata":   {EncodeCommit(tag, now, "g", Commit{Offsets: []Offset{{Metadata: strings.Repeat("m", MaxMetadata+1)}}}), api.Code_INVALID_REQUEST},
	} {
		s := New(0)
		if out := s.Apply(test.command); out.Code != test.want || out.Message == "" || len(s.Groups()) != 0 {
			t.Errorf("%s: %+v, groups %v", name, out, s.Groups())
		}
	}
}

// The log is trimmed by the count of commands, sound or not.
func TestLogStart(t *testing.T) {
	s := New(0)
	for range keptCommands + 10 {
		s.Apply([]byte{1})
	}
	if s.LogStart() != 10 || s.End() != keptCommands+10 {
		t.Errorf("the log has %d to %d", s.LogStart(), s.End())
	}
}

// So is it by their bytes, where they are large.
func TestLogStartOfLargeCommands(t *testing.T) {
	s, large := New(0), make([]byte, 1<<20)
	kept := api.Offset(keptBytes / len(large))
	for n := range 5 * kept {
		s.Apply(large)
		if have := s.End() - s.LogStart(); have > kept || have < min(n, kept/2) {
			t.Fatalf("of %d MiB %d are kept, from %d on", n+1, have, s.LogStart())
		}
		if n%7 == 0 {
			again := New(0)
			if err := again.Restore(s.Save()); err != nil {
				t.Fatal(err)
			}
			s = again
		}
	}
}

func FuzzApply(f *testing.F) {
	for _, c := range example() {
		f.Add(c)
	}
	before := apply(example()...).Save()
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New(0)
		if err := s.Restore(before); err != nil {
			t.Fatal(err)
		}
		s.Apply(data)
		again := New(0)
		if err := again.Restore(s.Save()); err != nil || !bytes.Equal(again.Save(), s.Save()) {
			t.Fatalf("what %x makes does not come back: %v", data, err)
		}
	})
}

func FuzzRestore(f *testing.F) {
	f.Add(New(1).Save())
	f.Add(apply(example()...).Save())
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New(0)
		if s.Restore(data) == nil && !bytes.Equal(s.Save(), data) {
			t.Fatalf("%x comes back as %x", data, s.Save())
		}
	})
}
