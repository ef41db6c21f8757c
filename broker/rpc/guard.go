package rpc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Guard says who a node lets in, and what for. With the zero value that is everyone, for
// everything.
type Guard struct {
	// Required: clients have to say who they are, by a password or a certificate, and may do
	// what ACLs allow. Nodes have to show PeerSecret or, if that is empty, the certificate of
	// a super user.
	Required bool
	// SuperUsers are principals that may do everything, such as "User:admin".
	SuperUsers []string
	// PeerSecret is what every node of the cluster knows, and nobody else.
	PeerSecret string
	// View is users and ACLs as the node has applied them, nil while it knows none. It
	// gives the same pointer until they change.
	View func() *access.View
	// Confirm returns when View is as new as the call, or why that cannot be said.
	Confirm func() *api.Error
	// Report hears of who was not let in; it must not wait.
	Report func(what, who, why string)
}

// peerUser is the name under which nodes show what they all know.
const peerUser = "node"

const (
	// failurePause is before an authentication is answered that failed, as in Kafka: it
	// makes guessing slow.
	failurePause = 100 * time.Millisecond
	// refusalTime is how long the link of somebody who is not let in still says so.
	refusalTime = time.Second
	// maxStrangers is how many links of clients, and how many of peers, may wait at a time for
	// the other end to say who it is, so that strangers take no places from those known.
	maxStrangers = 1024
	// maxGranted bounds what a link remembers of what it may do.
	maxGranted = 1024
)

// gate is a Guard at work.
type gate struct {
	Guard
	secret access.Credential
	pause  time.Duration // failurePause
	// strangers and callers are the links of clients and of peers whose other end has yet to
	// say who it is.
	strangers, callers crowd
	current            atomic.Pointer[indexed]
	mu                 sync.Mutex // to make current
}

// crowd is how many there are, of at most so many places.
type crowd struct {
	present atomic.Int64
	places  int64
}

// enter takes a place; false if there is none.
func (c *crowd) enter() bool {
	if c.present.Add(1) > c.places {
		c.leave()
		return false
	}
	return true
}

// leave gives a place back.
func (c *crowd) leave() { c.present.Add(-1) }

// indexed is a view with its ACLs indexed.
type indexed struct {
	view  *access.View
	index *access.Index
}

func newGate(g Guard) (*gate, error) {
	if g.View == nil {
		g.View = func() *access.View { return nil }
	}
	if g.Report == nil {
		g.Report = func(string, string, string) {}
	}
	made := &gate{Guard: g, pause: failurePause}
	made.strangers.places = maxStrangers
	made.callers.places = maxStrangers
	if g.PeerSecret == "" {
		return made, nil
	}
	request, err := NewUser(peerUser, g.PeerSecret)
	if err != nil {
		return nil, err
	}
	c := request.Credential
	made.secret = access.Credential{
		Salt: string(c.Salt), Iterations: int(c.Iterations), StoredKey: string(c.StoredKey), ServerKey: string(c.ServerKey),
	}
	return made, nil
}

// now is what the node knows at present, nil if that is nothing.
func (g *gate) now() *indexed {
	view := g.View()
	if view == nil {
		return nil
	}
	if at := g.current.Load(); at != nil && at.view == view {
		return at
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := g.current.Load(); at != nil && at.view == view {
		return at
	}
	at := &indexed{view, access.NewIndex(view.Rules)}
	g.current.Store(at)
	return at
}

// user gives a user, or a decoy.
func (at *indexed) user(name string) (access.Credential, bool) {
	users := at.view.Users
	i, there := slices.BinarySearchFunc(users, name, func(u access.User, name string) int { return strings.Compare(u.Name, name) })
	if !there {
		return access.Decoy(at.view.Decoy, name), false
	}
	return users[i].Credential, true
}

// asks reports whether a method is only for those who say who they are.
func (g *gate) asks(method string) bool {
	return g.Required || g.PeerSecret != "" && method == Peer_Exchange_FullMethodName
}

func (g *gate) super(principal string) bool { return slices.Contains(g.SuperUsers, principal) }

// certified is the principal of the certificate that a link's other side has shown, "" if
// there is none that a CA of the node's has signed.
func certified(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return ""
	}
	return access.UserPrefix + strings.ToValidUTF8(info.State.PeerCertificates[0].Subject.String(), "?")
}

// from is where a link comes from.
func from(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return "somewhere"
}

// proveTo is a node's half of showing the peer secret to another.
func (g *gate) proveTo(peer string, send func(*Sasl) error, receive func() (*Sasl, error)) error {
	err := prove(peerUser, g.PeerSecret, send, receive)
	if err != nil && !errors.Is(err, context.Canceled) {
		g.Report("a node does not let this one in", peer, err.Error())
	}
	return err
}

// identity is who is at the other end of a link.
type identity struct {
	principal string
	super     bool
	// user is who has shown a password; one without a name has shown a certificate.
	user access.User
}

// visitor is the other end of a client's link, or of a call. All but who, waiting and filter
// is for the one goroutine that reads the link.
type visitor struct {
	gate *gate
	// from is its address.
	from string
	// trust has its connection trusted.
	trust func()
	// who is nil for nobody.
	who atomic.Pointer[identity]
	// waiting: it is one of the gate's strangers.
	waiting atomic.Bool
	// refused is why it is nobody for good; the link is about to end.
	refused *api.Error
	login   *conversation
	// at is what granted goes by.
	at      *indexed
	granted map[access.Need]struct{} // at most maxGranted
}

func (g *gate) visitor(ctx context.Context) *visitor {
	v := &visitor{gate: g, from: from(ctx), trust: func() { trust(ctx) }}
	if principal := certified(ctx); principal != "" {
		v.who.Store(&identity{principal: principal, super: g.super(principal)})
	}
	return v
}

// enter begins a link; false if there are too many strangers already.
func (v *visitor) enter() bool {
	if !v.stranger() {
		return true
	}
	if !v.gate.strangers.enter() {
		return false
	}
	v.waiting.Store(true)
	return true
}

// settled says that it is a stranger no more: it has said who it is, or the link has ended.
func (v *visitor) settled() {
	if v.waiting.Swap(false) {
		v.gate.strangers.leave()
	}
}

// stranger reports whether it has yet to say who it is.
func (v *visitor) stranger() bool { return v.gate.Required && v.who.Load() == nil }

// allow says why a request is not to be carried out. Nothing is allocated for one that is.
// What is allowed goes by what this node has applied: one that is behind lets a little pass
// of what was just forbidden. A denial is final, so it goes by what was true after the request came.
func (v *visitor) allow(q *api.Request) *api.Error {
	switch {
	case v.refused != nil:
		return v.refused
	case !v.gate.Required:
		return nil
	case !v.look():
		return v.refused
	}
	who := v.who.Load()
	if who.super {
		return nil
	}
	if _, ok := access.Check(q, v.may); ok {
		return nil
	}
	if err := v.gate.Confirm(); err != nil {
		return err
	}
	if !v.look() {
		return v.refused
	}
	if missing, ok := access.Check(q, v.may); !ok {
		return missing.Error(who.principal)
	}
	return nil
}

// look has the visitor go by what the node knows now. It reports whether it is let in.
func (v *visitor) look() bool {
	now, who := v.gate.now(), v.who.Load()
	switch {
	case who == nil:
		v.refused = api.Errorf(api.Code_SASL_AUTHENTICATION_FAILED,
			"this node asks who you are: give a user and a password (--user and --password-file), or a certificate that it accepts")
	case now == nil:
		v.refused = errUnknowing()
	case now == v.at:
	default:
		v.at = now
		clear(v.granted)
		if c, there := now.user(who.user.Name); who.user.Name != "" && (!there || c != who.user.Credential) {
			v.refused = api.Errorf(api.Code_SASL_AUTHENTICATION_FAILED,
				"user %+q was deleted, or has another password by now; authenticate again", who.user.Name)
		}
	}
	return v.refused == nil
}

func errUnknowing() *api.Error {
	return api.Errorf(api.Code_NOT_READY, "the node is still recovering or joining, and knows no users yet; retry after a pause")
}

func (v *visitor) may(n access.Need) bool {
	if _, ok := v.granted[n]; ok {
		return true
	}
	if !v.at.index.Allows(v.who.Load().principal, n) {
		return false
	}
	if v.granted == nil {
		v.granted = make(map[access.Need]struct{})
	}
	if len(v.granted) < maxGranted {
		v.granted[n] = struct{}{}
	}
	return true
}

// filter leaves out of an answer what the visitor may not hear of.
func (v *visitor) filter(r *api.Response) *api.Response {
	if !v.gate.Required {
		return r
	}
	who, now := v.who.Load(), v.gate.now()
	if who == nil || who.super || now == nil {
		return r
	}
	return access.Filter(r, func(n access.Need) bool { return now.index.Allows(who.principal, n) })
}

// authenticate takes a message of an authentication and gives the answer.
func (v *visitor) authenticate(m *Sasl) *Sasl {
	data, err := v.hear(m)
	if err != nil {
		v.refused = err
		v.gate.Report("a client is not let in", v.from, err.Message)
		return &Sasl{Error: err}
	}
	return &Sasl{Data: data}
}

func (v *visitor) hear(m *Sasl) ([]byte, *api.Error) {
	at := v.gate.now()
	switch {
	case v.refused != nil:
		return nil, v.refused
	case at == nil:
		return nil, errUnknowing()
	}
	first := v.login == nil
	if first {
		v.login = converse(at.user)
	}
	data, err := v.login.step(m, first)
	if err == nil && v.login.proven() {
		u := v.login.user
		v.who.Store(&identity{principal: u.Principal(), super: v.gate.super(u.Principal()), user: u})
		v.trust()
		v.settled()
		return data, nil
	}
	if err != nil || v.login.scram.Done() {
		return nil, v.failed()
	}
	return data, nil
}

// failed says that an authentication failed, in the same way whatever was wrong. It may be
// that this node has not heard of the user or the password yet.
func (v *visitor) failed() *api.Error {
	time.Sleep(v.gate.pause)
	if err := v.gate.Confirm(); err != nil {
		return err
	}
	name := v.login.user.Name
	if at := v.gate.now(); at != nil && name != "" {
		if c, known := at.user(name); known && c != v.login.user.Credential {
			return api.Errorf(api.Code_NOT_READY, "the node has just heard of user %+q; authenticate again", clip(name))
		}
	}
	return api.Errorf(api.Code_SASL_AUTHENTICATION_FAILED, "there is no user %+q with this password; check both, or see user list", clip(name))
}

// clip makes a text from outside short enough for a message.
func clip(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), access.MaxUserBytes)], "?")
}
