"""Names of columns in other languages than English, and states of jobs in them."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["english_name", "english_state", "words_known"]

_CHINESE = {
    **dict.fromkeys(("提交", "投递", "申请时间"), "submit "),
    **dict.fromkeys(("创建", "建立"), "create "),
    **dict.fromkeys(("入队", "排队开始"), "enqueued at "),
    **dict.fromkeys(("排队", "等待"), "wait "),
    **dict.fromkeys(("开始运行", "启动", "开始", "起始"), "start "),
    **dict.fromkeys(("结束", "终止", "停止"), "end "),
    **dict.fromkeys(("完成",), "finish "),
    **dict.fromkeys(
        ("运行时间", "运行时长", "执行时间", "执行时长", "耗时", "实际时长"), "run time "
    ),
    **dict.fromkeys(("最长时间", "时限", "时长限制", "限时", "申请时长"), "time limit "),
    **dict.fromkeys(("持续时间", "时长"), "duration "),
    **dict.fromkeys(("时间", "日期"), "time "),
    **dict.fromkeys(
        (
            *("用户名", "用户", "提交人", "创建人", "申请人", "使用人", "所有者", "提交用户"),
            *("提交者", "创建者", "创建用户", "使用者", "负责人"),
        ),
        "user ",
    ),
    **dict.fromkeys(("队列", "分区", "资源组", "资源池"), "queue "),
    **dict.fromkeys(("项目", "账户", "账号", "部门", "课题组", "租户"), "project "),
    **dict.fromkeys(("状态",), "state "),
    **dict.fromkeys(("作业", "任务", "训练任务"), "job "),
    **dict.fromkeys(("编号", "号码", "标识", "序号"), "id "),
    **dict.fromkeys(("名称", "名字", "名"), "name "),
    **dict.fromkeys(("单节点", "每节点", "单机", "每机"), "per node "),
    **dict.fromkeys(("每",), "per "),
    **dict.fromkeys(("实例",), "instance "),
    **dict.fromkeys(("副本",), "replica "),
    **dict.fromkeys(("卡时", "卡小时", "GPU时", "GPU小时"), "gpu hours "),
    **dict.fromkeys(("运行",), "run "),
    **dict.fromkeys(("申请", "请求", "需求"), "requested "),
    **dict.fromkeys(("实际", "分配", "已分配"), "allocated "),
    **dict.fromkeys(("节点", "主机", "机器", "服务器"), "node "),
    **dict.fromkeys(("显卡", "加速卡", "卡", "加速器"), "gpu "),
    **dict.fromkeys(("型号", "类型"), "type "),
    **dict.fromkeys(("总", "数量", "个数", "数"), "count "),
    **dict.fromkeys(("小时",), "h "),
    **dict.fromkeys(("分钟",), "min "),
    **dict.fromkeys(("毫秒",), "ms "),
    **dict.fromkeys(("秒",), "s "),
}
_JAPANESE = {
    **dict.fromkeys(("ジョブ",), "job "),
    **dict.fromkeys(("投入", "受付"), "submit "),
    **dict.fromkeys(("開始",), "start "),
    **dict.fromkeys(("終了",), "end "),
    **dict.fromkeys(("経過時間", "実行時間"), "run time "),
    **dict.fromkeys(("待ち時間",), "wait "),
    **dict.fromkeys(("時刻", "日時"), "time "),
    **dict.fromkeys(("ユーザー", "ユーザ", "利用者"), "user "),
    **dict.fromkeys(("キュー",), "queue "),
    **dict.fromkeys(("状態",), "state "),
    **dict.fromkeys(("番号",), "id "),
    **dict.fromkeys(("ノード",), "node "),
    **dict.fromkeys(("使用者", "提交者"), "user "),
    **dict.fromkeys(("作業", "任務", "工作"), "job "),
    **dict.fromkeys(("編號",), "id "),
    **dict.fromkeys(("時間",), "time "),
    **dict.fromkeys(("建立時間",), "create time "),
    **dict.fromkeys(("結束", "完成時間"), "end "),
    **dict.fromkeys(("狀態",), "state "),
    **dict.fromkeys(("佇列",), "queue "),
    **dict.fromkeys(("節點",), "node "),
    **dict.fromkeys(("數量", "數"), "count "),
    **dict.fromkeys(("執行時間",), "run time "),
}
_IDEOGRAPHS = dict(
    sorted({**_CHINESE, **_JAPANESE}.items(), key=lambda pair: -len(pair[0]))
)  # longer words first
_WORDS = {
    "de": {
        **dict.fromkeys(("auftrag", "auftrags"), "job"),
        **dict.fromkeys(("jobnr", "jobnummer", "auftragsnummer"), "job id"),
        **dict.fromkeys(("auftragsid", "jobkennung", "vorgang"), "job id"),
        **dict.fromkeys(("benutzer", "nutzer", "benutzername", "anwender"), "user"),
        **dict.fromkeys(("warteschlange", "schlange"), "queue"),
        **dict.fromkeys(
            ("eingereicht", "einreichung", "einreichungszeit", "abgeschickt"), "submit"
        ),
        **dict.fromkeys(("abgesendet", "uebermittelt", "ubermittelt", "eingang"), "submit"),
        **dict.fromkeys(("erstellt", "angelegt", "erstellungszeit"), "created"),
        **dict.fromkeys(("gestartet", "startzeit", "startzeitpunkt", "beginn", "anfang"), "start"),
        **dict.fromkeys(("beendet", "endzeit", "ende", "endzeitpunkt", "abgeschlossen"), "end"),
        **dict.fromkeys(("laufzeit", "dauer", "ausfuhrungszeit", "rechenzeit"), "run time"),
        **dict.fromkeys(("wartezeit",), "wait"),
        **dict.fromkeys(("zeitlimit", "zeitgrenze", "maximallaufzeit"), "time limit"),
        **dict.fromkeys(("zustand",), "state"),
        **dict.fromkeys(("typ", "modell"), "type"),
        **dict.fromkeys(("anzahl", "zahl"), "count"),
        **dict.fromkeys(("knoten", "rechner"), "node"),
        **dict.fromkeys(("projekt", "konto", "gruppe"), "project"),
        **dict.fromkeys(("grafikkarten", "karten", "beschleuniger"), "gpus"),
        **dict.fromkeys(("pro", "je"), "per"),
        **dict.fromkeys(("stunden", "std"), "hours"),
        **dict.fromkeys(("minuten",), "minutes"),
        **dict.fromkeys(("sekunden",), "seconds"),
        **dict.fromkeys(("kennung", "nummer"), "id"),
        **dict.fromkeys(("einreichdatum", "einreichzeitpunkt", "abgabezeit"), "submit"),
        **dict.fromkeys(("am", "um"), ""),
    },
    "fr": {
        **dict.fromkeys(("tache", "travail"), "job"),
        **dict.fromkeys(("identifiant",), "id"),
        **dict.fromkeys(("heures",), "hours"),
        **dict.fromkeys(("utilisateur",), "user"),
        **dict.fromkeys(("soumission", "soumis"), "submit"),
        **dict.fromkeys(("debut", "demarrage"), "start"),
        **dict.fromkeys(("fin",), "end"),
        **dict.fromkeys(("duree",), "run time"),
        **dict.fromkeys(("attente",), "wait"),
        **dict.fromkeys(("etat", "statut"), "state"),
        **dict.fromkeys(("nombre", "nb", "nbre"), "count"),
        **dict.fromkeys(("noeud", "noeuds"), "node"),
        **dict.fromkeys(("projet",), "project"),
        **dict.fromkeys(("par",), "per"),
        **dict.fromkeys(("du", "des", "d"), ""),
    },
    "es": {
        **dict.fromkeys(("trabajo", "tarea"), "job"),
        **dict.fromkeys(("identificador",), "id"),
        **dict.fromkeys(("horas",), "hours"),
        **dict.fromkeys(("usuario",), "user"),
        **dict.fromkeys(("cola",), "queue"),
        **dict.fromkeys(("envio", "enviado"), "submit"),
        **dict.fromkeys(("inicio",), "start"),
        **dict.fromkeys(("duracion",), "run time"),
        **dict.fromkeys(("espera",), "wait"),
        **dict.fromkeys(("estado",), "state"),
        **dict.fromkeys(("numero", "cantidad"), "count"),
        **dict.fromkeys(("nodo", "nodos"), "node"),
        **dict.fromkeys(("fecha", "hora"), "time"),
        **dict.fromkeys(("por",), "per"),
        **dict.fromkeys(("el", "la"), ""),
    },
}
_WORDS["it"] = {
    **dict.fromkeys(("lavoro", "processo"), "job"),
    **dict.fromkeys(("identificativo",), "id"),
    **dict.fromkeys(("utente",), "user"),
    **dict.fromkeys(("coda",), "queue"),
    **dict.fromkeys(("invio", "inviato", "sottomesso", "sottomissione"), "submit"),
    **dict.fromkeys(("inizio", "avvio", "avviato"), "start"),
    **dict.fromkeys(("fine", "terminato"), "end"),
    **dict.fromkeys(("durata",), "run time"),
    **dict.fromkeys(("attesa",), "wait"),
    **dict.fromkeys(("stato",), "state"),
    **dict.fromkeys(("numero",), "count"),
    **dict.fromkeys(("nodi",), "node"),
    **dict.fromkeys(("progetto",), "project"),
}
_WORDS["pt"] = {
    **dict.fromkeys(("trabalho",), "job"),
    **dict.fromkeys(("usuario", "utilizador"), "user"),
    **dict.fromkeys(("fila",), "queue"),
    **dict.fromkeys(("submissao", "submetido", "enviado"), "submit"),
    **dict.fromkeys(("inicio",), "start"),
    **dict.fromkeys(("fim", "termino"), "end"),
    **dict.fromkeys(("duracao",), "run time"),
    **dict.fromkeys(("espera",), "wait"),
    **dict.fromkeys(("estado", "situacao"), "state"),
    **dict.fromkeys(("quantidade",), "count"),
    **dict.fromkeys(("nos",), "node"),
}
_SHARED = {"de": "", "date": "time", "heure": "time", "zeit": "time", "datum": "time"}
_ALL = {word: english for words in _WORDS.values() for word, english in words.items()} | _SHARED
_STATES = {
    **dict.fromkeys(("完成", "已完成", "成功", "运行成功", "已结束", "正常结束"), "Completed"),
    **dict.fromkeys(("失败", "运行失败", "异常", "错误"), "Failed"),
    **dict.fromkeys(("取消", "已取消", "已终止", "已停止", "终止", "手动停止"), "Cancelled"),
    **dict.fromkeys(("运行中", "运行", "正在运行", "训练中"), "Running"),
    **dict.fromkeys(("排队", "排队中", "等待", "等待中", "挂起", "未开始"), "Pending"),
    **dict.fromkeys(("終了", "正常終了"), "Completed"),
    **dict.fromkeys(("実行中",), "Running"),
    **dict.fromkeys(("待機", "待機中", "実行待ち"), "Pending"),
    **dict.fromkeys(("abgeschlossen", "fertig", "beendet", "erfolgreich"), "Completed"),
    **dict.fromkeys(("fehlgeschlagen", "fehler", "gescheitert"), "Failed"),
    **dict.fromkeys(("abgebrochen", "storniert"), "Cancelled"),
    **dict.fromkeys(("laufend", "lauft", "laeuft", "aktiv"), "Running"),
    **dict.fromkeys(("wartend", "wartet", "ausstehend"), "Pending"),
    **dict.fromkeys(("termine", "reussi", "acheve", "terminado", "completado"), "Completed"),
    **dict.fromkeys(("echoue", "echec", "erreur", "fallido"), "Failed"),
    **dict.fromkeys(("annule", "cancelado"), "Cancelled"),
    **dict.fromkeys(("en cours", "en ejecucion"), "Running"),
    **dict.fromkeys(("en attente", "pendiente"), "Pending"),
}


def _plain(text: str) -> str:
    """Return a text in lower case without accents and umlauts."""
    apart = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("œ", "oe"))
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).lower()


def english_name(name: str) -> str:
    """Return the name of a column in English; the same name if it has no known words.

    Examples
    --------
    >>> english_name("提交时间"), english_name("GPU卡数"), english_name("Anzahl GPUs")
    ('submit time', 'GPU count', 'count gpus')
    >>> english_name("Date de soumission"), english_name("JobID")
    ('time submit', 'JobID')
    """
    if not name.isascii() and re.search(r"[\u3040-\u9fff]", name):
        for word, english in _IDEOGRAPHS.items():
            name = name.replace(word, f" {english}")
        name = re.sub(r"[\uff08\u3010]", " (", name).replace("）", ")")
        return re.sub(r"(?i)\b([gn]pu) gpu\b", r"\1", " ".join(name.split()))
    words = re.findall(r"[^\W_]+|[()%]", re.sub(r"(?<=[a-zß-ÿ])(?=[A-Z])", " ", name))
    plain = [_plain(word) for word in words]
    if not set(plain) & set(_ALL) - {
        "date",
        "pro",
        "am",
        "um",
        "du",
        "d",
        "la",
        "el",
        "de",
        "par",
        "nb",
    }:
        return name
    found = [_ALL.get(word, word) for word in plain]
    return " ".join(" ".join(found).split())


def words_known(text: str) -> int:
    """Return how many different words of Chinese or Japanese headers are in a text.

    Examples
    --------
    >>> words_known("提交时间,状态"), words_known("JobID,State")
    (3, 0)
    """
    return sum(word in text for word in _IDEOGRAPHS if len(word) > 1)


def english_state(text: object) -> object:
    """Return a state of a job in English; the same text if it is not known.

    Examples
    --------
    >>> english_state("已完成"), english_state("Läuft"), english_state("COMPLETED")
    ('Completed', 'Running', 'COMPLETED')
    """
    return _STATES.get(_plain(str(text)).strip(), text)
