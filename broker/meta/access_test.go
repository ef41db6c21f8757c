package meta

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"pgregory.net/rapid"
)

// accessMachine is users and ACLs as sets, beside a replica that lives and one that starts
// again and again.
type accessMachine struct {
	live, saved *State
	users       map[string]access.Credential
	rules       map[access.Rule]bool
	// kept is a view that was taken earlier, and what it said then.
	kept access.View
	said string
}

func newAccessMachine(t *rapid.T) *accessMachine {
	m := &accessMachine{live: founded(t), saved: founded(t), users: map[string]access.Credential{}, rules: map[access.Rule]bool{}}
	m.Keep(t)
	return m
}

// apply has both replicas carry a request out, which is to be answered so.
func (m *accessMachine) apply(t *rapid.T, request *api.Request, want api.Code, changes bool) *api.Response {
	data, version := encode(t, 0, request), m.live.Access().Version
	live, saved := m.live.Apply(data).Response, m.saved.Apply(data).Response
	if describe(live) != describe(saved) || live.GetError().GetCode() != want {
		t.Fatalf("%v: %s, and after a restart %s, want %v", request, describe(live), describe(saved), want)
	}
	if now := m.live.Access().Version; (now != version) != changes || now < version {
		t.Fatalf("%v: from version %d to %d, changes: %v", request, version, now, changes)
	}
	return live
}

var drawUser = rapid.SampledFrom([]string{"ann", "bob", "cy"})

func (m *accessMachine) Put(t *rapid.T) {
	name, create := drawUser.Draw(t, "user"), rapid.Bool().Draw(t, "create")
	request := putUser(name, rapid.Byte().Draw(t, "password"), create)
	_, there := m.users[name]
	switch {
	case create && there:
		m.apply(t, request, api.Code_USER_ALREADY_EXISTS, false)
	case !create && !there:
		m.apply(t, request, api.Code_UNKNOWN_USER, false)
	default:
		m.apply(t, request, api.Code_OK, true)
		m.users[name] = userOf(request.GetPutUser()).Credential
	}
}

func (m *accessMachine) Delete(t *rapid.T) {
	name := drawUser.Draw(t, "user")
	want := api.Code_OK
	if _, there := m.users[name]; !there {
		want = api.Code_UNKNOWN_USER
	}
	m.apply(t, deleteUser(name), want, want == api.Code_OK)
	delete(m.users, name)
}

func drawACL(t *rapid.T) *api.Acl {
	a := acl(access.UserPrefix+drawUser.Draw(t, "principal"), rapid.SampledFrom([]string{"t", "u"}).Draw(t, "topic"))
	a.Permission = rapid.SampledFrom([]api.Acl_Permission{api.Acl_ALLOW, api.Acl_DENY}).Draw(t, "permission")
	return a
}

func (m *accessMachine) Add(t *rapid.T) {
	list := []*api.Acl{drawACL(t), drawACL(t)}
	before := len(m.rules)
	for _, a := range list {
		m.rules[access.RuleOf(a)] = true
	}
	m.apply(t, createAcls(list...), api.Code_OK, len(m.rules) != before)
}

func (m *accessMachine) Remove(t *rapid.T) {
	a := drawACL(t)
	a.Permission = rapid.SampledFrom([]api.Acl_Permission{api.Acl_ANY_PERMISSION, api.Acl_ALLOW, api.Acl_DENY}).Draw(t, "any permission")
	gone := map[access.Rule]bool{}
	maps.DeleteFunc(m.rules, func(r access.Rule, _ bool) bool {
		gone[r] = access.RuleOf(a).Fits(r)
		return gone[r]
	})
	maps.DeleteFunc(gone, func(_ access.Rule, is bool) bool { return !is })
	r := m.apply(t, deleteAcls(a), api.Code_OK, len(gone) > 0)
	deleted := rulesOf(r.GetDeleteAcls().GetDeleted())
	if len(deleted) != len(gone) || slices.ContainsFunc(deleted, func(r access.Rule) bool { return !gone[r] }) {
		t.Fatalf("%v are said to be deleted, and are %v", deleted, gone)
	}
}

func (m *accessMachine) Restart(t *rapid.T) { m.saved = restarted(t, m.saved) }

// Keep takes a view, as whoever asks what is allowed does.
func (m *accessMachine) Keep(*rapid.T) {
	m.kept = m.live.Access()
	m.said = fmt.Sprint(m.kept)
}

func (m *accessMachine) Check(t *rapid.T) {
	if !bytes.Equal(m.live.Save(), m.saved.Save()) {
		t.Fatal("after a restart the state is another")
	}
	v := m.live.Access()
	if len(v.Users) != len(m.users) || len(v.Rules) != len(m.rules) {
		t.Fatalf("%v and %v are there, not %v and %v", v.Users, v.Rules, m.users, m.rules)
	}
	for _, u := range v.Users {
		if m.users[u.Name] != u.Credential {
			t.Fatalf("%v is there, not %v", u, m.users[u.Name])
		}
	}
	for _, r := range v.Rules {
		if !m.rules[r] {
			t.Fatalf("%v is there, and was not added", r)
		}
	}
	if now := fmt.Sprint(m.kept); now != m.said {
		t.Fatalf("a view that was kept has changed from %s to %s", m.said, now)
	}
}

func TestAccessAgainstSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { t.Repeat(rapid.StateMachineActions(newAccessMachine(t))) })
}

// There is a bound to users and to ACLs, and whoever meets it is told.
func TestAccessIsBounded(t *testing.T) {
	s := founded(t)
	// All but one at once: to make them one by one takes seconds.
	for i := range access.MaxUsers - 1 {
		u := userOf(putUser(fmt.Sprintf("user%05d", i), 1, true).GetPutUser())
		s.access.Users = append(s.access.Users, u)
	}
	do(t, s, putUser("last", 1, true))
	if r := s.Apply(encode(t, 0, putUser("more", 1, true))).Response; r.Error.GetCode() != api.Code_INVALID_REQUEST {
		t.Errorf("one more user: %v", r)
	}
	for i := range access.MaxRules / access.MaxAtOnce {
		var list []*api.Acl
		for j := range access.MaxAtOnce {
			list = append(list, acl("User:x", fmt.Sprintf("topic%d-%d", i, j)))
		}
		do(t, s, createAcls(list...))
	}
	do(t, s, createAcls(acl("User:x", "topic0-0")))
	if r := s.Apply(encode(t, 0, createAcls(acl("User:x", "more"), acl("User:x", "topic0-0")))).Response; r.Error.GetCode() != api.Code_INVALID_REQUEST {
		t.Errorf("one more ACL: %v", r)
	}
	if n := len(s.Access().Rules); n != access.MaxRules {
		t.Errorf("%d ACLs are there", n)
	}
	restarted(t, s)
}
