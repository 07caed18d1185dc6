/* conf_grammar.c - the order of tokens in a configuration file: libconfig's own grammar, with words for what is
 * missing. (libconfig says "syntax error" and loses memory over one.)
 * Runs in: master and command line. Trusts: nothing. Never: sees the tokens' text. */
#include "conf/conf_reader.h"

enum state {
    EXPECT_KEY = 0, /* or the end of the group */
    EXPECT_ASSIGN,
    EXPECT_VALUE,
    AFTER_VALUE, /* a separator is optional */
    FIRST_ITEM,  /* or the end of the list */
    EXPECT_ITEM, /* behind a comma */
    AFTER_ITEM
};

static const char *expected(const struct conf_grammar *grammar) {
    switch ((enum state)grammar->state) {
    case EXPECT_KEY:
        return "a key";
    case EXPECT_ASSIGN:
        return "= after the key";
    case EXPECT_VALUE:
        return "a value (a text in quotes, a number, true or false)";
    case AFTER_VALUE:
        return "; or a key";
    case FIRST_ITEM:
        return "a value or the end of the list";
    case EXPECT_ITEM:
        return "a value behind the comma";
    case AFTER_ITEM:
        return "a comma or the end of the list";
    }
    return "nothing";
}

static bool in_list(char inside) {
    return inside == '[' || inside == '(';
}

static bool value_may_begin(const struct conf_grammar *grammar) {
    return grammar->state == EXPECT_VALUE || grammar->state == FIRST_ITEM || grammar->state == EXPECT_ITEM;
}

static bool may_end(const struct conf_grammar *grammar) {
    return grammar->state != EXPECT_ASSIGN && grammar->state != EXPECT_VALUE && grammar->state != EXPECT_ITEM;
}

static unsigned after(char inside) {
    return in_list(inside) ? AFTER_ITEM : AFTER_VALUE;
}

/* Whether the token may stand here; moves on when it may. */
static bool take(struct conf_grammar *grammar, enum conf_token token, char inside, char outside) {
    bool text_before = grammar->text;
    bool ended = grammar->state == AFTER_VALUE || grammar->state == AFTER_ITEM;
    grammar->text = token == CONF_TOKEN_TEXT;
    switch (token) {
    case CONF_TOKEN_KEY:
        if (grammar->state != EXPECT_KEY && grammar->state != AFTER_VALUE) return false;
        grammar->state = EXPECT_ASSIGN;
        return true;
    case CONF_TOKEN_ASSIGN:
        if (grammar->state != EXPECT_ASSIGN) return false;
        grammar->state = EXPECT_VALUE;
        return true;
    case CONF_TOKEN_TEXT:
        if (text_before && ended) return true; /* texts side by side are one */
        if (!value_may_begin(grammar)) return false;
        grammar->state = after(inside);
        return true;
    case CONF_TOKEN_SCALAR:
        if (!value_may_begin(grammar)) return false;
        grammar->state = after(inside);
        return true;
    case CONF_TOKEN_COMMA:
    case CONF_TOKEN_SEMICOLON:
        if (!ended || (in_list(inside) && token == CONF_TOKEN_SEMICOLON)) return false;
        grammar->state = in_list(inside) ? EXPECT_ITEM : EXPECT_KEY;
        return true;
    case CONF_TOKEN_OPEN: /* `outside` is the bracket that opens */
        if (!value_may_begin(grammar) || inside == '[') return false;
        grammar->state = in_list(outside) ? FIRST_ITEM : EXPECT_KEY;
        return true;
    case CONF_TOKEN_CLOSE:
        if (!may_end(grammar)) return false;
        grammar->state = after(outside);
        return true;
    case CONF_TOKEN_END:
        return may_end(grammar);
    case CONF_TOKEN_OTHER:
        break;
    }
    return false;
}

const char *conf_grammar_take(struct conf_grammar *grammar, enum conf_token token, char inside, char outside) {
    const char *wanted = expected(grammar);
    if (token == CONF_TOKEN_OPEN && inside == '[' && value_may_begin(grammar))
        wanted = "( ) in place of [ ], for a list of groups or lists";
    return take(grammar, token, inside, outside) ? NULL : wanted;
}
