package netsim

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var five = []string{"a", "b", "c", "d", "e"}

// picture draws which links carry: a row per sender, x where nothing comes
// through.
func picture(n *Network, now Time) string {
	var rows []string
	for _, from := range five {
		row := ""
		for _, to := range five {
			mark := "."
			if len(n.Send(now, from, to, 1, Peer)) == 0 {
				mark = "x"
			}
			row += mark
		}
		rows = append(rows, row)
	}
	return strings.Join(rows, " ")
}

const whole = "..... ..... ..... ..... ....."

func TestCuts(t *testing.T) {
	for name, c := range map[string]struct {
		fault Fault
		want  string
	}{
		"split":    {Fault{Sides: [][]string{{"a", "b"}, {"c", "d", "e"}}}, "..xxx ..xxx xx... xx... xx..."},
		"isolated": {Fault{Sides: Isolate("c", []string{"a", "b", "d", "e"})}, "..x.. ..x.. xx.xx ..x.. ..x.."},
		"one way":  {Fault{Sides: Isolate("c", []string{"a", "b", "d", "e"}), OneWay: true}, "..... ..... xx.xx ..... ....."},
		"the other way": {Fault{Sides: [][]string{{"a", "b", "d", "e"}, {"c"}}, OneWay: true},
			"..x.. ..x.. ..... ..x.. ..x.."},
		"bridge": {Fault{Sides: Bridge("c", []string{"a", "b"}, []string{"d", "e"})}, "...xx ...xx ..... xx... xx..."},
		"ring":   {Fault{Sides: Ring(five)}, "..xx. ...xx x...x xx... .xx.."},
		"three":  {Fault{Sides: [][]string{{"a"}, {"b"}, {"c"}}}, ".xx.. x.x.. xx... ..... ....."},
		"all":    {Fault{}, "xxxxx xxxxx xxxxx xxxxx xxxxx"},
	} {
		n := New(1, Profile{})
		c.fault.Cut = true
		n.Start(0, 1, c.fault)
		if got := picture(n, 0); got != c.want {
			t.Errorf("%s: got\n%s, want\n%s", name, got, c.want)
		}
		if cut := int64(strings.Count(c.want, "x")); n.Counts().Cut != cut {
			t.Errorf("%s: counted %d, want %d", name, n.Counts().Cut, cut)
		}
		n.Heal(1)
		if got := picture(n, 0); got != whole {
			t.Errorf("%s: healed\n%s", name, got)
		}
	}
}

// TestClientNeedsBothWays: a one-way cut breaks a connection for both ends.
func TestClientNeedsBothWays(t *testing.T) {
	n := New(1, Profile{})
	n.Start(0, 1, Fault{Sides: Isolate("node", []string{"client"}), OneWay: true, Cut: true})
	if n.Cut(0, "client", "node") || !n.Cut(0, "node", "client") {
		t.Error("the cut is not one way")
	}
	if len(n.Send(0, "client", "node", 1, Client)) > 0 || len(n.Send(0, "node", "client", 1, Client)) > 0 {
		t.Error("a message came through a broken connection")
	}
	if len(n.Send(0, "client", "other", 1, Client)) != 1 {
		t.Error("another connection broke, too")
	}
}

func TestFlap(t *testing.T) {
	n := New(1, Profile{})
	if _, ok := n.NextFlap(0); ok {
		t.Error("nothing flaps, but a time is given")
	}
	const start, flap = 1000, 100
	n.Start(start, 1, Fault{Cut: true, Flap: flap})
	for now := Time(start); now < start+5*flap; now++ {
		there := (now-start)/flap%2 == 0
		if n.Cut(now, "a", "b") != there {
			t.Fatalf("at %d: cut is %v", now, !there)
		}
		next, ok := n.NextFlap(now)
		if !ok || next <= now || next > now+flap || n.Cut(next, "a", "b") == there || n.Cut(next-1, "a", "b") != there {
			t.Fatalf("at %d: the next flap is at %d, %v", now, next, ok)
		}
	}
}

func drawFaults(t *rapid.T) []Fault {
	side := rapid.SliceOfNDistinct(rapid.SampledFrom(five), 0, 4, rapid.ID[string])
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Fault {
		f := Fault{
			OneWay: rapid.Bool().Draw(t, "one way"),
			Flap:   Time(rapid.SampledFrom([]int64{0, 0, int64(millisecond)}).Draw(t, "flap")),
			Cut:    rapid.Bool().Draw(t, "cut"),
		}
		if rapid.Bool().Draw(t, "some links") {
			f.Sides = rapid.SliceOfN(side, 2, 4).Draw(t, "sides")
		}
		if rapid.Bool().Draw(t, "worse") {
			f.Worse = rough
			f.Worse.BytesPerSecond = rapid.Int64Range(0, 1<<20).Draw(t, "speed")
			f.Worse.Loss = rapid.Int64Range(0, million).Draw(t, "loss")
		}
		return f
	}), 0, 6).Draw(t, "faults")
}

// TestOrderOfFaults: it makes no difference which fault came first.
func TestOrderOfFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, faults := rapid.Uint64().Draw(t, "seed"), drawFaults(t)
		a, b := New(seed, rough), New(seed, rough)
		for i, f := range faults {
			a.Start(0, i, f)
		}
		for i, f := range slices.Backward(faults) {
			b.Start(0, i, f)
		}
		for _, m := range drawMessages(t, five...) {
			if x, y := m.send(a), m.send(b); !slices.Equal(x, y) {
				t.Fatalf("%+v: %v and %v", m, x, y)
			}
		}
	})
}

// TestSelectsAgainstModel compares with the definition, spelled out: a link is hit
// if each end stands somewhere, and no side holds both.
func TestSelectsAgainstModel(t *testing.T) {
	stands := func(f Fault, end string) (sides []int) {
		for i, side := range f.Sides {
			if slices.Contains(side, end) {
				sides = append(sides, i)
			}
		}
		return sides
	}
	rapid.Check(t, func(t *rapid.T) {
		for _, f := range drawFaults(t) {
			for _, from := range five {
				for _, to := range five {
					x, y := stands(f, from), stands(f, to)
					want := len(x) > 0 && len(y) > 0 && !slices.ContainsFunc(x, func(i int) bool { return slices.Contains(y, i) })
					want = want && (!f.OneWay || slices.Min(x) < slices.Min(y)) || len(f.Sides) == 0
					if f.selects(from, to) != want {
						t.Fatalf("%+v, from %s to %s: want %v", f, from, to, want)
					}
				}
			}
		}
	})
}

func TestFaultCheck(t *testing.T) {
	for name, bad := range map[string]Fault{
		"flap": {Flap: -1}, "one side": {Sides: [][]string{{"a"}}}, "loss": {Worse: Profile{Loss: -1}},
	} {
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
