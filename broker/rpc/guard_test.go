package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// doorkeeper has users and ACLs for a Guard. What it says at last may be more than what it
// says at first, as on a node that is behind.
type doorkeeper struct {
	view, later atomic.Pointer[access.View]
	unsure      atomic.Pointer[api.Error]
	asked       atomic.Int64
}

func (d *doorkeeper) guard() Guard {
	return Guard{
		Required: true, SuperUsers: []string{"User:root"}, View: d.view.Load,
		Confirm: func() *api.Error {
			d.asked.Add(1)
			if later := d.later.Swap(nil); later != nil {
				d.view.Store(later)
			}
			return d.unsure.Load()
		},
	}
}

// users that show their name, backwards.
func users(t testing.TB, names ...string) []access.User {
	slices.Sort(names)
	var list []access.User
	for _, name := range names {
		c, err := derive(name, backwards(name), strings.Repeat("s", access.SaltBytes))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, access.User{Name: name, Credential: c})
	}
	return list
}

func backwards(name string) string {
	runes := []byte(name)
	slices.Reverse(runes)
	return string(runes)
}

func allow(user string, o api.Acl_Operation, topic string) access.Rule {
	return access.Rule{Principal: access.UserPrefix + user, Operation: o, Resource: api.Acl_TOPIC,
		Name: topic, Pattern: api.Acl_LITERAL, Permission: api.Acl_ALLOW}
}

// decoySecret is what the tests' clusters make decoys of.
var decoySecret = strings.Repeat("d", access.KeyBytes)

// asker is a client's network and what comes back.
type asker struct {
	*ClientNetwork
	*notes
	t    *testing.T
	node env.Endpoint
	last uint64
}

func (s served) asker(login Login) *asker {
	n := &notes{}
	a := &asker{NewClientNetwork(n, Credentials{Login: login}), n, s.t, s.address, 0}
	s.t.Cleanup(a.Close)
	return a
}

// ask sends a request, lets the node answer it if it comes in, and gives the answer's code.
// A link that broke meanwhile is opened again.
func (a *asker) ask(q *api.Request) *api.Error {
	a.t.Helper()
	for range 20 {
		a.last++
		q.Id = a.last
		lost := a.losses()
		a.Send(a.node, requestMessage(q))
		var r *api.Response
		if !until(func() bool { r = a.answer(q.Id); return r != nil || a.losses() > lost }) {
			a.t.Fatalf("no answer to %v", q)
		}
		if r != nil {
			return r.Error
		}
	}
	a.t.Fatalf("the link breaks again and again")
	return nil
}

func (a *asker) losses() int {
	a.notes.mu.Lock()
	defer a.notes.mu.Unlock()
	return len(a.notes.lost)
}

func (a *asker) answer(id uint64) *api.Response {
	a.notes.mu.Lock()
	defer a.notes.mu.Unlock()
	for _, m := range a.notes.received {
		if r := m.GetResponse(); r.GetId() == id {
			return r
		}
	}
	return nil
}

// echoes has the node answer whatever comes in.
func (s served) echoes() served {
	s.notes.each = func(from env.Endpoint, m *api.Message) {
		q := m.GetRequest()
		s.Send(from, &api.Message{Body: &api.Message_Response{Response: &api.Response{Id: q.GetId(),
			Body: &api.Response_Metadata{Metadata: &api.MetadataResponse{Topics: []*api.TopicInfo{{Name: "mine"}, {Name: "other"}}}}}}})
	}
	return s
}

func (a *asker) want(what string, q *api.Request, want api.Code) {
	a.t.Helper()
	if err := a.ask(q); err.GetCode() != want {
		a.t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func read(topic string) *api.Request {
	return &api.Request{Body: &api.Request_Fetch{Fetch: &api.FetchRequest{Topic: &api.TopicRef{Name: topic}}}}
}

func write(topic string) *api.Request {
	return &api.Request{Body: &api.Request_Produce{Produce: &api.ProduceRequest{Topic: &api.TopicRef{Name: topic}}}}
}

func everything() *api.Request {
	return &api.Request{Body: &api.Request_Metadata{Metadata: &api.MetadataRequest{}}}
}

// Who shows a password may do what ACLs allow, and who shows none, or a wrong one, nothing.
func TestWhoIsLetIn(t *testing.T) {
	d := &doorkeeper{}
	d.view.Store(&access.View{Version: 1, Users: users(t, "ann", "root"), Decoy: decoySecret,
		Rules: []access.Rule{allow("ann", api.Acl_READ, "mine")}})
	s := serveGuarded(t, d.guard()).echoes()

	ann := s.asker(Password("ann", "nna"))
	ann.want("ann reads what she may", read("mine"), api.Code_OK)
	ann.want("ann reads what she may not", read("other"), api.Code_TOPIC_AUTHORIZATION_FAILED)
	ann.want("ann writes", write("mine"), api.Code_TOPIC_AUTHORIZATION_FAILED)
	ann.want("ann acts as a node", &api.Request{Body: &api.Request_Join{Join: &api.JoinRequest{}}}, api.Code_CLUSTER_AUTHORIZATION_FAILED)
	ann.want("ann asks what there is", everything(), api.Code_OK)
	if topics := ann.notes.received[len(ann.notes.received)-1].GetResponse().GetMetadata().GetTopics(); len(topics) != 1 || topics[0].Name != "mine" {
		t.Errorf("ann is shown %v", topics)
	}
	root := s.asker(Password("root", "toor"))
	root.want("root writes", write("other"), api.Code_OK)
	root.want("root asks what there is", everything(), api.Code_OK)
	if topics := root.notes.received[len(root.notes.received)-1].GetResponse().GetMetadata().GetTopics(); len(topics) != 2 {
		t.Errorf("root is shown %v", topics)
	}
	before := s.count()
	for what, login := range map[string]Login{
		"no password": nil, "a wrong password": Password("ann", "ann"), "an unknown user": Password("bob", "bob"),
		"an empty password":    Password("ann", ""),
		"a password's failure": func() (string, string, error) { return "", "", errors.New("no such file") },
	} {
		a := s.asker(login)
		a.want(what, read("mine"), api.Code_SASL_AUTHENTICATION_FAILED)
		a.want(what+", again", read("mine"), api.Code_SASL_AUTHENTICATION_FAILED)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := NewBrokerClient(s.conn()).Call(ctx, read("mine"))
	if err != nil || r.GetError().GetCode() != api.Code_SASL_AUTHENTICATION_FAILED {
		t.Errorf("a single call: %v, %v", r, err)
	}
	if s.count() != before {
		t.Errorf("%d requests of strangers came in", s.count()-before)
	}
}

// Where nobody has to say who he is, one may all the same, and what he says is checked: so
// clients can be given passwords before a node asks for them.
func TestPasswordsBeforeTheyAreAskedFor(t *testing.T) {
	d := &doorkeeper{}
	d.view.Store(&access.View{Version: 1, Users: users(t, "ann"), Decoy: decoySecret})
	g := d.guard()
	g.Required = false
	s := serveGuarded(t, g).echoes()
	s.asker(nil).want("nobody reads", read("t"), api.Code_OK)
	s.asker(Password("ann", "nna")).want("ann reads", read("t"), api.Code_OK)
	s.asker(Password("ann", "wrong")).want("a wrong password", read("t"), api.Code_SASL_AUTHENTICATION_FAILED)
}

// A password that was wrong may be put right: the link of who is not let in ends.
func TestAnotherTry(t *testing.T) {
	d := &doorkeeper{}
	d.view.Store(&access.View{Version: 1, Users: users(t, "root"), Decoy: decoySecret})
	s := serveGuarded(t, d.guard()).echoes()
	var right atomic.Bool
	a := s.asker(func() (string, string, error) {
		if right.Load() {
			return "root", "toor", nil
		}
		return "root", "wrong", nil
	})
	a.want("a wrong password", read("t"), api.Code_SASL_AUTHENTICATION_FAILED)
	right.Store(true)
	begun := time.Now()
	if !until(func() bool { return a.ask(read("t")).GetCode() == api.Code_OK }) || time.Since(begun) >= handshakeTime {
		t.Errorf("the right password is of no use, or only after %v", time.Since(begun))
	}
}

// Strangers take no places from clients: those that say nothing are few at a time, and go.
func TestStrangersAreFew(t *testing.T) {
	d := &doorkeeper{}
	d.view.Store(&access.View{Version: 1, Users: users(t, "root"), Decoy: decoySecret})
	s := serveGuarded(t, d.guard()).echoes()
	s.gate.strangers.places = 2
	clients := []*asker{s.asker(Password("root", "toor")), s.asker(Password("root", "toor")), s.asker(Password("root", "toor"))}
	for _, a := range clients {
		a.want("a client", read("t"), api.Code_OK)
	}
	for range 2 {
		s.link() // which says nothing
	}
	s.await("two strangers", func() bool { return s.gate.strangers.present.Load() == 2 })
	if _, err := s.link().Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a third stranger: %v", err)
	}
	for _, a := range clients {
		a.want("a client that was let in before", read("t"), api.Code_OK)
	}
	s.await("the strangers' end", func() bool { return s.gate.strangers.present.Load() == 0 })
	s.asker(Password("root", "toor")).want("a client after all that", read("t"), api.Code_OK)
}

// What is revoked is over with the next request, also on a link that is open. So is it for
// a user who was deleted or whose password was changed.
func TestRevokedWhileConnected(t *testing.T) {
	d := &doorkeeper{}
	may := &access.View{Version: 1, Users: users(t, "ann", "bob"), Decoy: decoySecret,
		Rules: []access.Rule{allow("ann", api.Acl_READ, "mine"), allow("bob", api.Acl_READ, "mine")}}
	d.view.Store(may)
	s := serveGuarded(t, d.guard()).echoes()
	ann, bob := s.asker(Password("ann", "nna")), s.asker(Password("bob", "bob"))
	for _, a := range []*asker{ann, bob} {
		a.want("what is allowed", read("mine"), api.Code_OK)
	}
	d.view.Store(&access.View{Version: 2, Users: may.Users, Rules: may.Rules[1:], Decoy: decoySecret})
	ann.want("what is allowed no more", read("mine"), api.Code_TOPIC_AUTHORIZATION_FAILED)
	bob.want("what others are allowed no more", read("mine"), api.Code_OK)
	d.view.Store(&access.View{Version: 3, Users: users(t, "ann"), Rules: may.Rules, Decoy: decoySecret})
	ann.want("what is allowed again", read("mine"), api.Code_OK)
	bob.want("a user who was deleted", read("mine"), api.Code_SASL_AUTHENTICATION_FAILED)
	changed := users(t, "ann")
	changed[0].Credential, _ = derive("ann", "new", strings.Repeat("t", access.SaltBytes))
	d.view.Store(&access.View{Version: 4, Users: changed, Rules: may.Rules, Decoy: decoySecret})
	ann.want("a password that was changed", read("mine"), api.Code_SASL_AUTHENTICATION_FAILED)
}

// A denial is final, so a node that is behind looks again before it denies.
func TestDenialsAreConfirmed(t *testing.T) {
	d := &doorkeeper{}
	behind := &access.View{Version: 1, Users: users(t, "ann"), Decoy: decoySecret}
	d.view.Store(behind)
	s := serveGuarded(t, d.guard()).echoes()
	ann := s.asker(Password("ann", "nna"))
	ann.want("nothing is allowed", read("mine"), api.Code_TOPIC_AUTHORIZATION_FAILED)
	d.later.Store(&access.View{Version: 2, Users: users(t, "ann", "bob"), Decoy: decoySecret,
		Rules: []access.Rule{allow("ann", api.Acl_READ, "mine")}})
	ann.want("what was allowed meanwhile", read("mine"), api.Code_OK)
	asked := d.asked.Load()
	ann.want("what is allowed", read("mine"), api.Code_OK)
	if d.asked.Load() != asked {
		t.Error("what is allowed is confirmed too: that is a round to others for every request")
	}
	d.unsure.Store(api.Errorf(api.Code_META_UNAVAILABLE, "no leader"))
	ann.want("what may be allowed", read("other"), api.Code_META_UNAVAILABLE)
	s.asker(Password("ann", "wrong")).want("what may be a password", read("other"), api.Code_META_UNAVAILABLE)
	d.unsure.Store(nil)
	d.view.Store(behind)
	d.later.Store(&access.View{Version: 3, Users: users(t, "ann", "bob"), Decoy: decoySecret,
		Rules: []access.Rule{allow("bob", api.Acl_READ, "mine")}})
	bob := s.asker(Password("bob", "bob"))
	if !until(func() bool {
		err := bob.ask(read("mine"))
		if err != nil && !err.Code.Retriable() {
			t.Fatalf("a user of whom the node hears late: %v", err)
		}
		return err == nil
	}) {
		t.Error("a user of whom the node hears late is never let in")
	}
}

// A node that knows no users yet says so, and lets whoever tries again in when it does.
func TestNotReadyToAuthenticate(t *testing.T) {
	d := &doorkeeper{}
	s := serveGuarded(t, d.guard()).echoes()
	a := s.asker(Password("root", "toor"))
	a.want("too early", read("t"), api.Code_NOT_READY)
	d.view.Store(&access.View{Version: 1, Users: users(t, "root"), Decoy: decoySecret})
	if !until(func() bool { return a.ask(read("t")).GetCode() == api.Code_OK }) {
		t.Error("the node is ready, and lets nobody in")
	}
}

// That there is no such user does not show: the challenge is like any other, and the same
// each time, on every node.
func TestUnknownUsersLookKnown(t *testing.T) {
	challenge := func(name string) string {
		d := &doorkeeper{}
		d.view.Store(&access.View{Version: 1, Users: users(t, "ann"), Decoy: decoySecret})
		g, err := newGate(d.guard())
		if err != nil {
			t.Fatal(err)
		}
		client, _ := scramClient(name, "x")
		first, _ := client.NewConversation().Step("")
		answer := (&visitor{gate: g}).authenticate(&Sasl{Mechanism: Mechanism, Data: []byte(first)})
		if answer.Error != nil {
			t.Fatalf("%s: %v", name, answer.Error)
		}
		_, rest, _ := strings.Cut(string(answer.Data), ",") // without the nonce
		return rest
	}
	known, unknown := challenge("ann"), challenge("bob")
	if len(known) != len(unknown) || !strings.HasSuffix(unknown, known[strings.LastIndex(known, ","):]) {
		t.Errorf("%q is known, %q is not", known, unknown)
	}
	if again := challenge("bob"); again != unknown {
		t.Errorf("%q, and at another node %q", unknown, again)
	}
	if other := challenge("eve"); other == unknown {
		t.Error("two users have the same salt")
	}
}

// What is asked for every request costs no allocation once it is known.
func TestAllowedForNothing(t *testing.T) {
	v, requests := knownVisitor(t)
	for what, q := range requests {
		if err := v.allow(q); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { v.allow(q) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}

// knownVisitor is ann, who may read topic mine and write to what begins with it, among many
// other ACLs.
func knownVisitor(t testing.TB) (*visitor, map[string]*api.Request) {
	rules := []access.Rule{allow("ann", api.Acl_READ, "mine"), allow("ann", api.Acl_WRITE, "mi")}
	rules[1].Pattern = api.Acl_PREFIXED
	for i := range 1000 {
		rules = append(rules, allow("ann", api.Acl_READ, fmt.Sprint("topic", i)), allow(fmt.Sprint("u", i), api.Acl_READ, "mine"))
	}
	d := &doorkeeper{}
	d.view.Store(&access.View{Version: 1, Users: users(t, "ann"), Rules: rules})
	g, err := newGate(d.guard())
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{gate: g}
	v.who.Store(&identity{principal: "User:ann", user: d.view.Load().Users[0]})
	return v, map[string]*api.Request{"fetch": read("mine"), "produce": write("mine")}
}

func BenchmarkAllow(b *testing.B) {
	v, requests := knownVisitor(b)
	b.ReportAllocs()
	for b.Loop() {
		if v.allow(requests["produce"]) != nil {
			b.Fatal("denied")
		}
	}
}

// Who is not let in hears why of a request that is larger than what a stranger may send.
func TestRefusedThoughLarge(t *testing.T) {
	d := &doorkeeper{} // knows no users yet, as a node that has just started
	s := serveGuarded(t, d.guard())
	a := s.asker(Password("root", "toor"))
	small := produce(0, api.Acks_ALL)
	if err := a.ask(small); err.GetCode() != api.Code_NOT_READY {
		t.Fatalf("a small one: %v", err)
	}
	time.Sleep(refusalTime + 300*time.Millisecond)
	q := large(0)
	if err := a.ask(q); err.GetCode() != api.Code_NOT_READY {
		t.Errorf("a large one: %v", err)
	}
}
