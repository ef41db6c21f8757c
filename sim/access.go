package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client/core"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/plan"
)

// permission is a user of its own that an act made, and what was acknowledged of it.
type permission struct {
	user string
	// made, gone and changed, which is its password, are of the user; allowed and revoked
	// are of an ACL for it.
	made, gone, changed, allowed, revoked bool
	// doubt: some change of it may have happened, or may still.
	doubt bool
}

func (p *permission) rule() access.Rule {
	return access.Rule{Principal: access.UserPrefix + p.user, Operation: api.Acl_READ, Resource: api.Acl_TOPIC,
		Name: p.user, Pattern: api.Acl_PREFIXED, Permission: api.Acl_DENY}
}

// put asks for the user with the first password or the second.
func (p *permission) put(create bool, password byte) *api.PutUserRequest {
	key := bytes.Repeat([]byte{password}, access.KeyBytes)
	return &api.PutUserRequest{Name: p.user, Create: create, Decoy: key, Credential: &api.ScramCredential{
		Salt: key[:access.SaltBytes], Iterations: access.MinIterations, StoredKey: key, ServerKey: key,
	}}
}

// permit makes a user and an ACL for it, and as the strength says deletes the user again, or
// gives it another password and deletes the ACL: each once what was before is acknowledged.
func (r *run) permit(f *plan.Fault) bool {
	p := &permission{user: fmt.Sprint("user", f.Number)}
	r.permissions = append(r.permissions, p)
	r.noteFault(f, p.user, histories.Point)
	acls := []*api.Acl{p.rule().Acl()}
	r.admin.do(func(c *core.Client) {
		c.PutUser(p.put(true, 1), adminPatience, r.permitted(p, &p.made, func() {
			c.CreateAcls(acls, adminPatience, r.permitted(p, &p.allowed, func() {
				switch f.Strength {
				case 1:
					c.DeleteUser(p.user, adminPatience, r.permitted(p, &p.gone, func() {}))
				case 2:
					c.PutUser(p.put(false, 2), adminPatience, r.permitted(p, &p.changed, func() {
						c.DeleteAcls(acls, adminPatience, r.permitted(p, &p.revoked, func() {}))
					}))
				}
			}))
		}))
	})
	return true
}

// permitted notes the outcome of one change, and goes on if it happened.
func (r *run) permitted(p *permission, done *bool, then func()) func(core.Result) {
	return func(result core.Result) {
		if result.Err != nil {
			p.doubt = p.doubt || !result.Definite
			return
		}
		*done = true
		then()
	}
}

// checkPermissions holds what every node knows of users and ACLs, from its disk, to what
// was acknowledged.
func (r *run) checkPermissions() {
	for _, n := range r.nodes {
		if n.host.Up() && n.broker != nil && !n.outside() {
			r.checkPermissionsOf(n)
		}
	}
}

func (r *run) checkPermissionsOf(n *node) {
	view := n.broker.Access()
	for _, p := range r.permissions {
		i, there := slices.BinarySearchFunc(view.Users, p.user, func(u access.User, name string) int { return bytes.Compare([]byte(u.Name), []byte(name)) })
		_, allowed := slices.BinarySearchFunc(view.Rules, p.rule(), access.Rule.Compare)
		second := there && view.Users[i].StoredKey[0] == 2
		switch {
		case p.made && !p.gone && !p.doubt && !there, p.gone && there, p.changed && !second,
			p.allowed && !p.revoked && !p.doubt && !allowed, p.revoked && allowed:
			r.fail(AccessLost, "of %s was acknowledged: made %v, allowed %v, deleted %v, other password %v, ACL deleted %v; "+
				"and at the end, on %s, the user is there: %v, with the other password: %v, and its ACL: %v",
				p.user, p.made, p.allowed, p.gone, p.changed, p.revoked, n.host.Name, there, second, allowed)
		}
	}
}
