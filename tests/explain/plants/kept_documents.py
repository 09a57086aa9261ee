"""What the standard library parsed is kept by the app.

holder: kept_documents.DOCUMENTS
"""

import json

TEXT = json.dumps({"rows": [{"id": number, "name": f"row {number}"} for number in range(20)]})
DOCUMENTS = []


def work():
    DOCUMENTS.append(json.loads(TEXT))  # LEAK
