package rpc

import (
	"errors"
	"strings"
	"testing"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Nodes that know the same secret talk to each other.
func TestPeersShareASecret(t *testing.T) {
	a, b := serveGuarded(t, Guard{PeerSecret: "secret"}), serveGuarded(t, Guard{PeerSecret: "secret"})
	for i := range 3 {
		a.Send(b.address, batchFrom(uint64(i)))
	}
	b.await("three messages", func() bool { return b.count() == 3 })
	if b.sender(0) != a.address {
		t.Errorf("they came from %s", b.sender(0))
	}
	b.Send(a.address, batchFrom(9))
	a.await("an answer", func() bool { return a.count() == 1 })
}

// Who does not know the secret is not heard, whatever it says, and neither is who asks no
// questions told anything.
func TestStrangersAreNoPeers(t *testing.T) {
	s := serveGuarded(t, Guard{PeerSecret: "secret"})
	frames := &Frames{From: "host:1", Frames: [][]byte{api.EncodeFrame(batchFrom(1))}}
	greeting := func(name string) *Frames {
		client, _ := scramClient(name, "guess")
		first, _ := client.NewConversation().Step("")
		return &Frames{From: "host:1", Sasl: &Sasl{Mechanism: Mechanism, Data: []byte(first)}, Frames: frames.Frames}
	}
	for what, says := range map[string][]*Frames{
		"frames at once":               {frames},
		"a greeting, then frames":      {greeting(peerUser), frames},
		"a greeting, then nonsense":    {greeting(peerUser), {From: "host:1", Sasl: &Sasl{Data: []byte("nonsense")}, Frames: frames.Frames}},
		"two greetings":                {greeting(peerUser), greeting(peerUser)},
		"nonsense":                     {{From: "host:1", Sasl: &Sasl{Mechanism: Mechanism, Data: []byte("nonsense")}}},
		"another mechanism":            {{From: "host:1", Sasl: &Sasl{Mechanism: "PLAIN", Data: []byte("\x00node\x00secret")}}},
		"a long greeting":              {{From: "host:1", Sasl: &Sasl{Mechanism: Mechanism, Data: []byte(strings.Repeat("n,,n=", 1000))}}},
		"the greeting of another user": {greeting("root"), frames},
	} {
		stream := s.exchange()
		for _, m := range says {
			if err := stream.Send(m); err != nil {
				break // the link has ended already
			}
		}
		var err error
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: the link ended with %v", what, err)
		}
	}
	other := serveGuarded(t, Guard{PeerSecret: "another secret"})
	open := serve(t)
	for _, n := range []served{other, open} {
		n.Send(s.address, batchFrom(1))
		n.await("the loss of the link", func() bool { return n.hasLost(s.address) })
		s.Send(n.address, batchFrom(1))
		s.await("the loss of the link", func() bool { return s.hasLost(n.address) })
		if n.count() != 0 {
			t.Errorf("%d messages came to a node that has not the secret", n.count())
		}
	}
	if s.count() != 0 {
		t.Errorf("%d messages of strangers came in", s.count())
	}
}

// Where clients have to say who they are and there is no secret, only the certificate of a
// super user makes a peer; these have none.
func TestNoPeersInPlainText(t *testing.T) {
	d := &doorkeeper{}
	d.view.Store(&access.View{})
	s := serveGuarded(t, d.guard())
	stream := s.exchange()
	stream.Send(&Frames{From: "host:1", Frames: [][]byte{api.EncodeFrame(batchFrom(1))}})
	if _, err := stream.Recv(); status.Code(err) != codes.Unauthenticated || s.count() != 0 {
		t.Errorf("the link ended with %v, and %d messages came in", err, s.count())
	}
}

// A client sends nothing to a node that has not proven that it knows the client's password.
func TestImpostors(t *testing.T) {
	says := map[string]func(*Sasl) *Sasl{
		"few iterations":  func(m *Sasl) *Sasl { return challengeOf(m, "i=1") },
		"many iterations": func(m *Sasl) *Sasl { return challengeOf(m, "i=2000000000") },
		"no number":       func(m *Sasl) *Sasl { return challengeOf(m, "i=x") },
		"a wrong proof": func(m *Sasl) *Sasl {
			if m.Mechanism == "" {
				return &Sasl{Data: []byte("v=" + strings.Repeat("A", 43) + "=")}
			}
			return challengeOf(m, "i=4096")
		},
		"yes at once":   func(*Sasl) *Sasl { return &Sasl{} },
		"a long answer": func(*Sasl) *Sasl { return &Sasl{Data: make([]byte, maxSasl+1)} },
	}
	for what, answer := range says {
		var last *Sasl
		err := prove("ann", "nna", func(m *Sasl) error { last = m; return nil }, func() (*Sasl, error) { return answer(last), nil })
		if err == nil || errors.As(err, new(refusalError)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// challengeOf is a challenge to a greeting, with such iterations.
func challengeOf(m *Sasl, iterations string) *Sasl {
	_, nonce, _ := strings.Cut(string(m.Data), "r=")
	return &Sasl{Data: []byte("r=" + nonce + "more,s=c2FsdHNhbHQ=," + iterations)}
}

// FuzzSasl has a client and a peer say anything: nobody is let in, and nothing panics.
func FuzzSasl(f *testing.F) {
	d := &doorkeeper{}
	d.view.Store(&access.View{Version: 1, Users: users(f, "ann"), Decoy: decoySecret})
	g, err := newGate(d.guard())
	if err != nil {
		f.Fatal(err)
	}
	g.pause = 0
	f.Add([]byte("n,,n=ann,r=nonce"), []byte("c=biws,r=nonce,p=AAAA"))
	f.Add([]byte("n,a=root,n=ann,r=nonce"), []byte(""))
	f.Add([]byte("p=tls-unique,,n=a=2Cb,r=\xff"), []byte("\x00"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		v := &visitor{gate: g}
		answer := v.authenticate(&Sasl{Mechanism: Mechanism, Data: first})
		if answer.Error == nil {
			answer = v.authenticate(&Sasl{Data: second})
		}
		if v.who.Load() != nil || v.refused != nil && v.refused.Message == "" {
			t.Fatalf("%q and %q let %v in: %v", first, second, v.who.Load(), v.refused)
		}
		mustEncode(proto.Marshal(answer))
	})
}
