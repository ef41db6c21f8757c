package broker

import (
	"reflect"
	"testing"
)

func FuzzDecodeIdentity(f *testing.F) {
	founder := identity{cluster: "c", node: 1, replica: 1, token: []byte("0123456789abcdef"), founded: "n1:1", segmentBytes: 1 << 20}
	f.Add(founder.encode())
	f.Add(identity{token: []byte("t")}.encode())
	f.Add([]byte(identityMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		who, ok := decodeIdentity(data)
		if !ok {
			return
		}
		again, ok := decodeIdentity(who.encode())
		if !ok || !reflect.DeepEqual(again, who) {
			t.Fatalf("%+v comes back as %+v", who, again)
		}
	})
}

// A crash may leave any part of an identity; only the whole is one.
func TestIdentityIsWholeOrNone(t *testing.T) {
	b := identity{cluster: "c", node: 300, replica: 2, token: []byte("0123456789abcdef")}.encode()
	for cut := range b {
		if _, ok := decodeIdentity(b[:cut]); ok {
			t.Errorf("%d of %d bytes are taken for an identity", cut, len(b))
		}
	}
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if _, ok := decodeIdentity(b); ok {
			t.Errorf("an identity with bit %d flipped is taken for one", bit)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}
