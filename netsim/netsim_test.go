package netsim

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const millisecond = Time(1_000_000)

// rough is a profile with every knob on.
var rough = Profile{
	Latency: millisecond, Jitter: millisecond, Tail: 50_000, TailLimit: 100 * millisecond,
	BytesPerSecond: 10 << 20, Loss: 100_000, Duplicate: 100_000, Reorder: 100_000,
	ReorderLimit: 20 * millisecond, Damage: 100_000, Break: 50_000,
	HalfOpen: 500_000, HalfOpenLimit: 10 * Time(second),
}

// message is one Send.
type message struct {
	now      Time
	from, to string
	size     int
	class    Class
}

func drawMessages(t *rapid.T, endpoints ...string) []message {
	var now Time
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) message {
		now += Time(rapid.Int64Range(0, int64(5*millisecond)).Draw(t, "pause"))
		return message{
			now:   now,
			from:  rapid.SampledFrom(endpoints).Draw(t, "from"),
			to:    rapid.SampledFrom(endpoints).Draw(t, "to"),
			size:  rapid.IntRange(0, 100_000).Draw(t, "size"),
			class: rapid.SampledFrom([]Class{Peer, Client}).Draw(t, "class"),
		}
	}), 0, 100).Draw(t, "messages")
}

func (m message) send(n *Network) []Delivery {
	return slices.Clone(n.Send(m.now, m.from, m.to, m.size, m.class))
}

func TestQuietNetwork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := New(rapid.Uint64().Draw(t, "seed"), Profile{Latency: millisecond})
		for _, m := range drawMessages(t, "a", "b", "c") {
			want := []Delivery{{m.now + millisecond, Intact}}
			if got := m.send(n); !slices.Equal(got, want) {
				t.Fatalf("%+v: got %v, want %v", m, got, want)
			}
		}
	})
}

// TestClientLinks: whatever the weather, a message comes once, whole and after
// those before it, or not at all.
func TestClientLinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := New(rapid.Uint64().Draw(t, "seed"), rough)
		n.Start(0, 1, Fault{Worse: rough, Flap: 10 * millisecond})
		last := map[[2]string]Time{}
		for _, m := range drawMessages(t, "a", "b", "c") {
			got := m.send(n)
			if m.class == Peer || len(got) == 0 {
				continue
			}
			link := [2]string{m.from, m.to}
			if len(got) > 1 || got[0].Damaged != Intact || got[0].At < last[link] || got[0].At < m.now {
				t.Fatalf("%+v: got %v, after one at %d", m, got, last[link])
			}
			last[link] = got[0].At
		}
		if counts := n.Counts(); counts.Cut > 0 {
			t.Fatalf("no cut, but counted %d", counts.Cut)
		}
	})
}

// TestPeerLinks: copies come at or after the time of sending, at most two of
// them, damaged within the message; and in order unless reordered.
func TestPeerLinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rough
		ordered := rapid.Bool().Draw(t, "in order")
		if ordered {
			p.Reorder = 0
		}
		n := New(rapid.Uint64().Draw(t, "seed"), p)
		last := map[[2]string]Time{}
		for _, m := range drawMessages(t, "a", "b", "c") {
			m.class = Peer
			got := m.send(n)
			if len(got) > 2 {
				t.Fatalf("%+v: %d copies", m, len(got))
			}
			for _, c := range got {
				if c.At < m.now || c.Damaged < Intact || c.Damaged >= max(int64(m.size)*8, 0) {
					t.Fatalf("%+v: got %v", m, c)
				}
			}
			link := [2]string{m.from, m.to}
			if len(got) > 0 && ordered {
				if got[0].At < last[link] {
					t.Fatalf("%+v: at %d, before %d", m, got[0].At, last[link])
				}
				last[link] = got[0].At
			}
		}
	})
}

func TestSameSeedSameFate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		a, b := New(seed, rough), New(seed, rough)
		for _, m := range drawMessages(t, "a", "b") {
			if x, y := m.send(a), m.send(b); !slices.Equal(x, y) {
				t.Fatalf("%+v: %v and %v", m, x, y)
			}
		}
		if a.Counts() != b.Counts() {
			t.Fatalf("%+v and %+v", a.Counts(), b.Counts())
		}
	})
}

// TestRemovingLeavesTheRest: without the messages of the other links, and without
// a cut among them, a link's messages fare as they did.
func TestRemovingLeavesTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		full, less := New(seed, rough), New(seed, rough)
		full.Start(0, 1, Fault{Sides: [][]string{{"c"}, {"a", "b"}}, Cut: true})
		full.Start(0, 2, Fault{Sides: [][]string{{"c"}, {"a", "b"}}, Worse: rough})
		for _, m := range drawMessages(t, "a", "b", "c") {
			got := m.send(full)
			if m.from == "c" || m.to == "c" {
				continue
			}
			if want := m.send(less); !slices.Equal(got, want) {
				t.Fatalf("%+v: %v, without the rest %v", m, got, want)
			}
		}
	})
}

// TestDrawsAreApart: turning one knob off leaves what the others decided. The
// messages are so far apart that none waits for another.
func TestDrawsAreApart(t *testing.T) {
	p := rough
	p.Reorder, p.Damage, p.Duplicate = 0, 0, 0
	lossless := p
	lossless.Loss = 0
	a, b := New(7, p), New(7, lossless)
	for i := range 1000 {
		m := message{Time(i) * Time(second), "a", "b", 100, Peer}
		x, y := m.send(a), m.send(b)
		if len(x) > 0 && !slices.Equal(x, y) {
			t.Fatalf("message %d: %v, without loss %v", i, x, y)
		}
	}
	if a.Counts().Lost == 0 {
		t.Error("nothing was lost")
	}
}

// TestLinksAreApart: two links, two classes or two copies do not share a fate.
func TestLinksAreApart(t *testing.T) {
	n := New(7, Profile{Jitter: Time(second), Duplicate: million})
	arrivals := map[Time]int{}
	for i := range 100 {
		now := Time(i) * 10 * Time(second)
		for _, link := range [][2]string{{"a", "b"}, {"b", "a"}, {"c", "b"}, {"a", "c"}} {
			for _, class := range []Class{Peer, Client} {
				for _, d := range n.Send(now, link[0], link[1], 1, class) {
					arrivals[d.At]++
				}
			}
		}
	}
	// 4 links, 2 copies on a peer's and 1 on a client's.
	if want := 100 * 4 * 3; len(arrivals) != want {
		t.Errorf("%d different arrivals, want %d", len(arrivals), want)
	}
}

// TestChances: each knob alone does what it says, about as often as it says.
func TestChances(t *testing.T) {
	const messages, chance = 20_000, 100_000
	for name, c := range map[string]struct {
		profile Profile
		class   Class
		count   func(Counts) int64
	}{
		"tail":      {Profile{Tail: chance, TailLimit: 1}, Peer, func(c Counts) int64 { return c.Tailed }},
		"tail, too": {Profile{Tail: chance, TailLimit: 1}, Client, func(c Counts) int64 { return c.Tailed }},
		"loss":      {Profile{Loss: chance}, Peer, func(c Counts) int64 { return c.Lost }},
		"duplicate": {Profile{Duplicate: chance}, Peer, func(c Counts) int64 { return c.Duplicated }},
		"reorder":   {Profile{Reorder: chance, ReorderLimit: 10}, Peer, func(c Counts) int64 { return c.Reordered }},
		"damage":    {Profile{Damage: chance}, Peer, func(c Counts) int64 { return c.Damaged }},
		"break":     {Profile{Break: chance}, Client, func(c Counts) int64 { return c.Broken }},
	} {
		n := New(1, c.profile)
		var copies, damaged, overtaken int64
		last := Time(-1)
		for i := range messages {
			for _, d := range n.Send(Time(i), "a", "b", 10, c.class) {
				copies++
				if d.Damaged != Intact {
					damaged++
				}
				if d.At < last {
					overtaken++
				}
				last = max(last, d.At)
			}
		}
		counts := n.Counts()
		got := c.count(counts)
		if want := int64(messages * chance / million); got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %d of %d messages, want about %d", name, got, messages, want)
		}
		total := counts.Cut + counts.Lost + counts.Overflowed + counts.Broken +
			counts.Duplicated + counts.Reordered + counts.Tailed + counts.Queued + counts.Damaged
		if total != got {
			t.Errorf("%s: other things happened, too: %+v", name, counts)
		}
		if want := messages - counts.Lost - counts.Broken + counts.Duplicated; copies != want || damaged != counts.Damaged {
			t.Errorf("%s: %d copies, %d damaged; counted %+v", name, copies, damaged, counts)
		}
		if overtaken > 0 != (name == "reorder") && name != "duplicate" {
			t.Errorf("%s: %d messages overtaken", name, overtaken)
		}
	}
}

// TestBandwidth: messages leave one behind the other.
func TestBandwidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		speed := rapid.Int64Range(1_000_000, 1_000_000_000).Draw(t, "speed")
		n := New(1, Profile{Latency: millisecond, BytesPerSecond: speed})
		var free Time
		for _, m := range drawMessages(t, "a") {
			m.class = Client
			free = max(free, m.now) + Time(int64(m.size)*second/speed)
			want := []Delivery{{free + millisecond, Intact}}
			if got := m.send(n); !slices.Equal(got, want) {
				t.Fatalf("%+v: got %v, want %v", m, got, want)
			}
		}
	})
}

func TestQueueOverflows(t *testing.T) {
	n := New(1, Profile{BytesPerSecond: 1000})
	for i := range 10 {
		got, want := len(n.Send(0, "a", "b", 1000, Peer)), 1
		// The queue is two seconds long, and one message more may have begun.
		if i > 2 {
			want = 0
		}
		if got != want {
			t.Errorf("message %d: %d copies, want %d", i, got, want)
		}
		if len(n.Send(0, "a", "b", 1000, Client)) != 1 {
			t.Errorf("message %d of a client was lost", i)
		}
	}
	if c := n.Counts(); c.Overflowed != 7 || c.Queued != 2+9 {
		t.Errorf("counted %+v", c)
	}
}

func TestBreak(t *testing.T) {
	n := New(1, Profile{Latency: millisecond, HalfOpen: 500_000, HalfOpenLimit: Time(second)})
	var soon, late int
	for range 1000 {
		a, b := n.Break(5, "client", "node")
		for _, at := range []Time{a, b} {
			switch {
			case at == 5+millisecond:
				soon++
			case at > 5+millisecond && at <= 5+millisecond+Time(second):
				late++
			default:
				t.Fatalf("noticed at %d", at)
			}
		}
	}
	if soon < 900 || late < 900 {
		t.Errorf("%d noticed soon, %d late", soon, late)
	}
}

func TestProfileCheck(t *testing.T) {
	for name, bad := range map[string]Profile{
		"latency": {Latency: -1}, "jitter": {Jitter: maxTime + 1}, "loss": {Loss: million + 1},
		"damage": {Damage: -1}, "bytes_per_second": {BytesPerSecond: -1},
	} {
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	worst := Profile{Latency: maxTime, Jitter: maxTime, Tail: million, TailLimit: maxTime, BytesPerSecond: 1}
	n := New(1, worst)
	n.Start(0, 1, Fault{Worse: worst})
	if d := n.Send(0, "a", "b", 32<<20, Client); d[0].At < maxTime {
		t.Errorf("the worst profile: %v", d)
	}
}

func TestJSON(t *testing.T) {
	want := Fault{Sides: Isolate("n1", []string{"n2", "n3"}), OneWay: true, Flap: millisecond, Cut: true, Worse: rough}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Fault
	if err := json.Unmarshal(text, &got); err != nil || !slices.EqualFunc(got.Sides, want.Sides, slices.Equal) ||
		got.OneWay != want.OneWay || got.Flap != want.Flap || got.Cut != want.Cut || got.Worse != want.Worse {
		t.Errorf("%s came back as %+v, %v", text, got, err)
	}
}

func BenchmarkSend(b *testing.B) {
	n := New(1, rough)
	n.Start(0, 1, Fault{Sides: Isolate("n1", []string{"n2", "n3"}), Cut: true})
	n.Start(0, 2, Fault{Worse: rough})
	b.ReportAllocs()
	now := Time(0)
	for b.Loop() {
		now += millisecond
		n.Send(now, "n2", "n3", 1000, Peer)
	}
}
