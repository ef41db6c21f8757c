package checker

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// The tree of time stamps finds what going through them finds.
func TestFirstStamp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Int64Range(-3, 3), 1, 20).Draw(t, "times")
		unknown := rapid.IntRange(0, 5).Draw(t, "unknown")
		call := histories.Call{Op: histories.Produce, Values: make([]histories.Value, len(times)), Times: times}
		p := &partition{sends: []send{{Operation: &histories.Operation{Call: &call}}}}
		p.slots = make([]slot, unknown+len(times))
		p.sends[0].base = api.Offset(unknown)
		for i := range unknown {
			p.slots[i].send = noSend
		}
		from, at := rapid.IntRange(0, 30).Draw(t, "from"), rapid.Int64Range(-4, 4).Draw(t, "at")
		want := noMost
		for o := api.Offset(from); want == noMost && o < api.Offset(len(p.slots)); o++ {
			if stamp, known := p.timeAt(o); known && stamp >= at {
				want = o
			}
		}
		if got := p.gatherStamps().first(api.Offset(from), at); got != want {
			t.Fatalf("found %d, want %d", got, want)
		}
	})
}
