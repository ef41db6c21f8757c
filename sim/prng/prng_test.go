package prng

import (
	"testing"

	"pgregory.net/rapid"
)

// A seed means the same for ever: these numbers must never change.
func TestGolden(t *testing.T) {
	st := New(1)
	got := []uint64{st.Uint64(), st.Uint64(), st.Split("a").Uint64(), Hash(1, 2, 3), HashString("reprise")}
	want := []uint64{0xb3f2af6d0fc710c5, 0x853b559647364cea, 0x5939a8ea3fd734ba, 0x57ff3bac093b3797, 0xad2c0435d61422fa}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("number %d is %#x, was %#x", i, got[i], want[i])
		}
	}
}

func TestSplitIsApart(t *testing.T) {
	one, two := New(7), New(7)
	one.Uint64()
	if one.Split("x").Uint64() != two.Split("x").Uint64() {
		t.Error("what was drawn before changes a split stream")
	}
	if two.Split("x").Uint64() == two.Split("y").Uint64() {
		t.Error("two names give one stream")
	}
}

func TestHashDependsOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b"), rapid.Uint64().Draw(t, "c")
		if a != b && (Hash(a, b) == Hash(b, a) || Hash(c, a, b) == Hash(c, b, a)) {
			t.Fatal("parts in another order give the same number")
		}
		if Hash(a, a) == Hash(a) || Hash(a) == Hash(a, 0) || Hash(a, b) == Hash(b, b) && a != b {
			t.Fatal("different parts give the same number")
		}
	})
}

// Each of 16 numbers comes about as often as it should: chi-square over 16000
// draws, far beyond what chance allows (15 degrees of freedom).
func TestBelowIsEven(t *testing.T) {
	const kinds, draws, limit = 16, 16000, 60
	st := New(99)
	var streams, hashes [kinds]int
	for i := range draws {
		streams[st.Below(kinds)]++
		hashes[Scale(Hash(5, uint64(i)), kinds)]++
	}
	for name, counts := range map[string][kinds]int{"stream": streams, "hash": hashes} {
		chi := 0
		for _, n := range counts {
			chi += (n - draws/kinds) * (n - draws/kinds)
		}
		if chi/(draws/kinds) > limit {
			t.Errorf("%s: chi-square is %d", name, chi/(draws/kinds))
		}
	}
}

func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := New(rapid.Uint64().Draw(t, "seed"))
		low := rapid.Int64Range(-1000, 1000).Draw(t, "low")
		high := low + rapid.Int64Range(0, 1000).Draw(t, "more")
		if v := st.Between(low, high); v < low || v > high {
			t.Fatalf("%d is not between %d and %d", v, low, high)
		}
		if st.Chance(0, 5) || !st.Chance(5, 5) {
			t.Fatal("a chance of nothing or of everything is one")
		}
		p := make([]byte, rapid.IntRange(0, 20).Draw(t, "length"))
		if n, err := st.Read(p); n != len(p) || err != nil {
			t.Fatal("a stream reads short")
		}
		list := []int{0, 1, 2, 3, 4, 5, 6, 7}
		st.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		sum := 0
		for _, v := range list {
			sum |= 1 << v
		}
		if sum != 255 {
			t.Fatalf("shuffled into %v", list)
		}
	})
}
