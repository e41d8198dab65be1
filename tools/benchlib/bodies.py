"""Request bodies that look like real ones."""
import json

SYSTEM = ("You are a careful assistant for the support desk of a small software company. Answer in "
          "the language of the question, name the page of the manual that you rely on, and say so "
          "plainly when you do not know. Never invent a version number.")

PROSE = ("When the office opened on Monday, three customers had already written about the same "
         "thing: since the update, exports that used to take a minute no longer come to an end. "
         "One of them had tried it on two machines and with an empty profile, and she attached "
         "a log in which nothing happens for nine minutes. What should I ask her for next, and "
         "is there anything that she can do in the meantime? ")

CODE = '''static int queue_push(struct queue *q, const char *name, size_t len)
{
\tif (q->used == q->size) {
\t\tfprintf(stderr, "queue \\"%s\\" is full (%zu)\\n", q->name, q->size);
\t\treturn -1;
\t}
\tstruct item *it = &q->items[q->used++];
\tmemcpy(it->name, name, len);
\tit->name[len] = '\\0';\t/* callers check len */
\treturn 0;
}

'''

CYRILLIC = ("Когда в понедельник открылась контора, трое клиентов уже написали об одном и том же: "
            "после обновления выгрузка, которая раньше занимала минуту, больше не заканчивается. "
            "Одна из них попробовала на двух машинах и приложила журнал. Что спросить у неё? ")

CHINESE = ("星期一办公室开门的时候，已经有三位客户写信反映同一个问题：更新之后，原来一分钟就能完成的导出"
           "再也不会结束。其中一位在两台机器上用空白配置试过，并且附上了日志。接下来应该向她询问什么？")

TEXTS = {"small": (PROSE, 1500), "large-ascii": (PROSE, 100_000), "large-code": (CODE, 100_000),
         "large-cyrillic": (CYRILLIC, 100_000), "large-chinese": (CHINESE, 100_000)}


def chat(kind, model, stream=False):
    """A chat body of about the kind's size in bytes; text outside ASCII goes as UTF-8."""
    text, size = TEXTS[kind]

    def make(content):
        doc = {"model": model,
               "messages": [{"role": "system", "content": SYSTEM},
                            {"role": "user", "content": content}],
               "temperature": 0.7, "max_tokens": 512, "top_p": 0.95, "user": "desk-17"}
        if stream:
            doc["stream"] = True
        return json.dumps(doc, ensure_ascii=False, separators=(",", ":")).encode()

    frame = len(make(""))
    one = len(json.dumps(text, ensure_ascii=False).encode()) - 2
    times = max(0, size - frame) // one
    content = text * times
    rest = size - frame - times * one
    for ch in text:
        rest -= len(json.dumps(ch, ensure_ascii=False).encode()) - 2
        if rest < 0:
            break
        content += ch
    return make(content)


def raw_request(port, body, key):
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: application/json\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body
