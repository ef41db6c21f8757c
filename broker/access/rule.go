package access

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/reprise-mq/reprise/broker/api"
)

const (
	// UserPrefix begins every principal.
	UserPrefix = "User:"
	// Everyone is the principal of ACLs that are for all.
	Everyone = UserPrefix + "*"
	// Any is the literal name that fits every topic, or every group.
	Any = "*"
	// ClusterName is the name of the one cluster that there is.
	ClusterName = "cluster"
)

// Bounds of what is kept.
const (
	// MaxUsers and MaxRules bound what a cluster has.
	MaxUsers = 10_000
	MaxRules = 10_000
	// MaxAtOnce bounds the ACLs, and the filters, of one request.
	MaxAtOnce = 100

	maxNameBytes      = 255
	maxPrincipalBytes = 260
)

// Rule is an ACL.
type Rule struct {
	Principal  string
	Operation  api.Acl_Operation
	Resource   api.Acl_Resource
	Name       string
	Pattern    api.Acl_Pattern
	Permission api.Acl_Permission
}

// RuleOf takes an ACL, or a filter, from outside.
func RuleOf(a *api.Acl) Rule {
	return Rule{a.GetPrincipal(), a.GetOperation(), a.GetResource(), a.GetName(), a.GetPattern(), a.GetPermission()}
}

// Acl is the rule in the vocabulary.
func (r Rule) Acl() *api.Acl {
	return &api.Acl{
		Principal: r.Principal, Operation: r.Operation, Resource: r.Resource,
		Name: r.Name, Pattern: r.Pattern, Permission: r.Permission,
	}
}

// Compare orders rules; it is 0 only between equal ones.
func (r Rule) Compare(o Rule) int {
	return cmp.Or(
		strings.Compare(r.Principal, o.Principal), cmp.Compare(r.Resource, o.Resource),
		cmp.Compare(r.Pattern, o.Pattern), strings.Compare(r.Name, o.Name),
		cmp.Compare(r.Operation, o.Operation), cmp.Compare(r.Permission, o.Permission),
	)
}

// String is the rule as people read it.
func (r Rule) String() string {
	return fmt.Sprintf("%v %q %v on %v %v %q", r.Permission, r.Principal, r.Operation, r.Pattern, r.Resource, r.Name)
}

// operations that mean something on a resource, beside ALL_OPERATIONS.
var operations = map[api.Acl_Resource]mask{
	api.Acl_TOPIC: bits(api.Acl_READ, api.Acl_WRITE, api.Acl_CREATE, api.Acl_DELETE, api.Acl_ALTER,
		api.Acl_DESCRIBE, api.Acl_ALTER_CONFIGS),
	api.Acl_GROUP:   bits(api.Acl_READ, api.Acl_DELETE, api.Acl_DESCRIBE),
	api.Acl_CLUSTER: bits(api.Acl_CREATE, api.Acl_ALTER, api.Acl_DESCRIBE, api.Acl_CLUSTER_ACTION),
}

// Check says what is wrong with a rule.
func (r Rule) Check() *api.Error {
	some, known := operations[r.Resource]
	switch {
	case !known:
		return api.Errorf(api.Code_INVALID_REQUEST, "an ACL is about a topic, a group or the cluster, not %v", r.Resource)
	case !ValidPrincipal(r.Principal):
		return api.Errorf(api.Code_INVALID_REQUEST,
			"%+q is no principal; it is %s and a user's name, the subject of a certificate, or *, of at most %d bytes", clip(r.Principal), UserPrefix, maxPrincipalBytes)
	case r.Permission != api.Acl_ALLOW && r.Permission != api.Acl_DENY:
		return api.Errorf(api.Code_INVALID_REQUEST, "an ACL allows or denies, not %v", r.Permission)
	case r.Operation != api.Acl_ALL_OPERATIONS && (r.Operation <= 0 || r.Operation > lastOperation || some&bits(r.Operation) == 0):
		return api.Errorf(api.Code_INVALID_REQUEST, "operation %v means nothing on a %v", r.Operation, r.Resource)
	case r.Pattern != api.Acl_LITERAL && r.Pattern != api.Acl_PREFIXED:
		return api.Errorf(api.Code_INVALID_REQUEST, "the pattern of an ACL is LITERAL or PREFIXED, not %v", r.Pattern)
	case r.Resource == api.Acl_CLUSTER && (r.Name != ClusterName || r.Pattern != api.Acl_LITERAL):
		return api.Errorf(api.Code_INVALID_REQUEST, "there is one cluster: its name is %s, and the pattern LITERAL", ClusterName)
	case !plain(r.Name, maxNameBytes):
		return api.Errorf(api.Code_INVALID_REQUEST, "%+q cannot be the name of a %v; it has 1 to %d bytes", clip(r.Name), r.Resource, maxNameBytes)
	}
	return nil
}

// CheckFilter says what is wrong with a rule as a filter.
func (r Rule) CheckFilter() *api.Error {
	if r.Principal != "" && !ValidPrincipal(r.Principal) || r.Name != "" && !plain(r.Name, maxNameBytes) {
		return api.Errorf(api.Code_INVALID_REQUEST, "no ACL has the principal %+q and the name %+q; leave empty what may be any", clip(r.Principal), clip(r.Name))
	}
	if r.Operation < 0 || r.Operation > lastOperation || r.Resource < 0 || r.Resource > api.Acl_CLUSTER ||
		r.Pattern < 0 || r.Pattern > api.Acl_PREFIXED || r.Permission < 0 || r.Permission > api.Acl_DENY {
		return api.Errorf(api.Code_INVALID_REQUEST, "no ACL is %v; leave unset what may be any", r)
	}
	return nil
}

// Fits reports whether a filter fits a rule.
func (r Rule) Fits(o Rule) bool {
	return (r.Principal == "" || r.Principal == o.Principal) &&
		(r.Operation == 0 || r.Operation == o.Operation) &&
		(r.Resource == 0 || r.Resource == o.Resource) &&
		(r.Name == "" || r.Name == o.Name) &&
		(r.Pattern == 0 || r.Pattern == o.Pattern) &&
		(r.Permission == 0 || r.Permission == o.Permission)
}

// ValidPrincipal reports whether a text is a principal.
func ValidPrincipal(text string) bool {
	name, ok := strings.CutPrefix(text, UserPrefix)
	return ok && name != "" && plain(text, maxPrincipalBytes)
}

// plain reports whether a text is UTF-8 without control characters, and not too long.
func plain(text string, most int) bool {
	return text != "" && len(text) <= most && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// clip makes a text from outside short enough for a message.
func clip(text string) string { return text[:min(len(text), 64)] }
